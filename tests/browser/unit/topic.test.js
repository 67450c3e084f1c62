import assert from "node:assert/strict";
import { test } from "node:test";

import { fitsTopic } from "../../../crates/web/dashboard/js/lib/topic.js";

test("a star is one word, an arrow one or more", () => {
  for (const [pattern, topic] of [[">", "agent"], ["agent.*", "agent.failed"], ["agent.>", "agent.dependencies.unhealthy"], ["*.failed", "agent.failed"], ["agent.failed", "agent.failed"]]) {
    assert.ok(fitsTopic(pattern, topic), `${pattern} ${topic}`);
  }
  for (const [pattern, topic] of [["agent", "agent.failed"], ["agent.*", "agent.dependencies.unhealthy"], ["agent.>", "agent"], ["agent.failed", "agent.failed.twice"], ["agent.failed", "agent"]]) {
    assert.ok(!fitsTopic(pattern, topic), `${pattern} ${topic}`);
  }
});
