// Calls that many events ask for, made seldom, and never so early that they would be told what was before the event.

/**
 * A function that has `fn` called `settle` ms after it is called itself, and at most once in `every` ms. No event is followed by
 * less than a whole `settle`: one that comes just before the call is due has another call made for it.
 */
export function throttled(fn, { every, settle, clock = () => performance.now() }) {
  let last = -Infinity;
  let due = null;
  let again = false;
  const plan = () => {
    due = Math.max(clock() + settle, last + every);
    setTimeout(() => {
      due = null;
      last = clock();
      fn();
      if (!again) return;
      again = false;
      plan();
    }, Math.ceil(due - clock()));
  };
  return () => {
    if (due === null) plan();
    else if (due - clock() < settle) again = true;
  };
}
