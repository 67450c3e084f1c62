const { test, expect } = require("../fixture.js");

const tab = (page, name) => page.locator(`[id="tab-${name}"]`);

for (const name of ["now", "runs", "logs", "health", "config"]) {
  test(`it fits every screen in light and dark, and is accessible: ${name}`, async ({ page, as, open, fits, shot, fleet }) => {
    await fleet.untilStatus("failing", "error");
    await as("operator");
    await open(`agents/failing?tab=${name}`, "failing");
    await expect(tab(page, name)).toHaveAttribute("aria-selected", "true");
    await shot(name === "now" ? "agent" : `agent-${name}`, { readme: name === "now" });
    await fits(`agent-${name}`);
  });
}
