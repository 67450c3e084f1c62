const { test, expect } = require("../fixture.js");

test("how short memory is, what happens next, and who uses it", async ({ page, open, fleet }) => {
  await expect(async () => expect((await fleet.get("/memory")).agents.length).toBeGreaterThan(0)).toPass();
  await open("memory", "Memory");
  await expect(page.getByRole("list", { name: "Memory at a glance" }).getByRole("listitem").filter({ hasText: "In use" })).toContainText("%");
  await expect(page.getByRole("img", { name: /in use; warning at 80 %, critical at 90 %, recovered under 75 %/ })).toBeVisible();
  await expect(page.getByText(/^Next:/)).toBeVisible();
  const table = page.getByRole("table", { name: "Memory by agent" });
  await expect(table.getByRole("row").filter({ hasText: "web" })).toBeVisible();
  await table.getByRole("button", { name: "Agent" }).click();
  await expect(page).toHaveURL(/sort=name/);
  await expect(page.getByText("Log in to see this")).toBeVisible();
});

test("memory fits every screen, and is accessible", async ({ page, as, open, fits }) => {
  await as("viewer");
  await open("memory", "Memory");
  await expect(page.getByRole("table", { name: "Memory by agent" })).toBeVisible();
  await fits("memory");
});

test("when it is critical the ladder says so, and a profile is kept", async ({ page, expected, start }) => {
  expected.push(/a request to another host: http:\/\/127/);
  // Less than the orchestrator itself needs: critical from the first look on.
  const fleet = await start({ config: "[memory]\ninterval = \"1s\"\nbudget = \"16MiB\"\n" });
  await page.context().request.post(`${fleet.url}/api/v1/session`, { data: { token: fleet.tokens.viewer }, headers: { origin: fleet.url } });
  await expect(async () => expect((await fleet.get("/memory")).level).toBe("critical")).toPass();
  await page.goto(`${fleet.url}/#/memory`);
  const ladder = page.getByRole("region", { name: "The ladder" });
  await expect(ladder.getByRole("listitem").filter({ hasText: "critical" })).toContainText("now");
  await expect(page.getByRole("region", { name: "The last two hours" }).getByRole("listitem").filter({ hasText: "memory.critical" }).first()).toBeVisible();
  await page.getByRole("region", { name: "Profiles" }).getByRole("link").first().click();
  const profile = page.getByRole("region", { name: /^Profile / });
  await expect(profile).toContainText("critical");
  await expect(profile.getByRole("region", { name: "Agents" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(profile).toHaveCount(0);
});
