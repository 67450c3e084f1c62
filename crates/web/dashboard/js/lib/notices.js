// Which notices are shown: a newer one about the same thing takes the place of the older, and none that stays has to make room
// for one that goes by itself.

/** Shown at a time. */
export const MOST = 5;

/**
 * The notices once `{ id, text, detail, tone, stays, about }` came. `about` is what it tells of, such as `run agent-sales`;
 * without, only the same words are about the same. A problem gives way only to the same words: no other was read by then.
 */
export function added(shown, notice) {
  const about = notice.stays || !notice.about ? `${notice.text}\n${notice.detail}` : notice.about;
  const key = `${notice.tone} ${about}`;
  const older = shown.find((one) => one.key === key);
  const all = [...shown.filter((one) => one !== older), { ...notice, key, times: (older?.times ?? 0) + 1 }];
  if (all.length <= MOST) return all;
  const out = all.find((one) => !one.stays) ?? all[0];
  return all.filter((one) => one !== out);
}
