// In which order agents are shown unless one asks for another: who looks at the list looks for trouble first.

/** What needs attention, worst first. What somebody stopped or disabled does not, nor what runs, waits or rests. */
export const FAILING = ["error", "timeout", "missing", "disabled_by_failure", "disabled_by_memory", "unhealthy", "backing_off"];

/**
 * A function that orders agents: those that need attention by how bad it is, then all others; alike ones by name. The names
 * are sorted once for the same agents, so that a change of their status costs one look at each, however many they are.
 */
export function troubleFirst() {
  let names = [];
  let byName = [];
  return (agents) => {
    if (agents.length !== names.length || agents.some((agent, at) => agent.name !== names[at])) {
      names = agents.map((agent) => agent.name);
      byName = names.map((_, at) => at).sort((a, b) => (names[a] < names[b] ? -1 : 1));
    }
    const failing = FAILING.map(() => []);
    const others = [];
    for (const at of byName) (failing[FAILING.indexOf(agents[at].status)] ?? others).push(agents[at]);
    return failing.flat().concat(others);
  };
}
