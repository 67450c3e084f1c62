// Patterns of topics, as on the bus: `agent.failed`, `agent.*`, `memory.>`.

/** Whether a topic fits a pattern: `*` is one word, `>` at the end is one or more. */
export function fitsTopic(pattern, topic) {
  const wanted = pattern.split(".");
  const words = topic.split(".");
  for (const [at, part] of wanted.entries()) {
    if (part === ">") return words.length > at;
    if (at >= words.length || (part !== "*" && part !== words[at])) return false;
  }
  return wanted.length === words.length;
}
