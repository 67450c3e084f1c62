// The same done to many: one after the other, and what came of it told in one message.
import { plural } from "../lib/format.js";
import { toast } from "../ui/toast.js";

/** Calls `act` for each; resolves to `{ done, failed: [{ item, problem }] }`. */
export async function forEach(items, act) {
  const failed = [];
  let done = 0;
  for (const item of items) {
    try {
      await act(item);
      done += 1;
    } catch (problem) {
      failed.push({ item, problem });
      // Whoever has no right to one has none to the others, and a server that is gone is gone.
      if ([0, 401, 403].includes(problem.status)) break;
    }
  }
  return { done, failed };
}

/** Tells what came of it: `12 executions cancelled`, or how many not, with the first problem and its hint. */
export function tell({ done, failed }, what, verb) {
  if (failed.length === 0) {
    toast(`${plural(done, what)} ${verb}`, { tone: "good" });
    return;
  }
  const { problem } = failed[0];
  const detail = [problem.detail || problem.message, problem.hint].filter(Boolean).join(". ");
  toast(`${plural(done, what)} ${verb}, ${failed.length} not`, { tone: "bad", detail });
}
