const { test, expect } = require("../fixture.js");

test("every change is there, with who, what, before and after, in a chain that holds", async ({ page, fleet, as, open }) => {
  await fleet.post("/pause");
  await fleet.post("/resume");
  await as("admin");
  await open("audit", "Audit");
  await expect(page.getByText("chain verified")).toBeVisible();
  const rows = page.getByRole("table", { name: "Audit log" }).getByRole("row");
  const row = rows.filter({ hasText: "resumed all triggers" }).first();
  await expect(row).toContainText("paused: true → false");
  await row.click();
  const entry = page.getByRole("region", { name: /^Entry \d+$/ });
  await expect(entry.getByRole("row").filter({ hasText: "paused" })).toContainText(/true\s*false/);
  await expect(entry).toContainText(/[0-9a-f]{64}/);
  await page.keyboard.press("Escape");
  await expect(entry).toHaveCount(0);
});

test("it is filtered by who and what, in the address", async ({ page, fleet, as, open }) => {
  await fleet.post("/pause");
  await fleet.post("/resume");
  await as("admin");
  await open("audit", "Audit");
  const rows = page.getByRole("table", { name: "Audit log" }).getByRole("row");
  await page.getByPlaceholder("What, or of whom").fill("pause");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/action=pause/);
  await expect(rows.nth(1)).toContainText("paused all triggers");
  await expect(rows.filter({ hasText: "resumed" })).toHaveCount(0);
  await page.getByLabel(/^Who exactly/).fill("nobody");
  await expect(page.getByText("No entry fits the filter")).toBeVisible();
  await page.getByRole("button", { name: "Clear the filter" }).click();
  await expect(rows.nth(1)).toBeVisible();
});

test("older entries come below what is shown, and a page that does not come is asked for again", async ({ page, fleet, as, open, expected }) => {
  expected.push(/Failed to load resource/);
  for (let turn = 0; turn < 3; turn += 1) {
    await fleet.post("/pause");
    await fleet.post("/resume");
  }
  // Pages of two, so that few entries are many pages.
  let limit = 2;
  await page.route(/\/api\/v1\/audit\?/, (route) => route.continue({ url: route.request().url().replace(/limit=\d+/, `limit=${limit}`) }));
  await as("admin");
  await open("audit", "Audit");
  const table = page.getByRole("table", { name: "Audit log" });
  await expect(table).toHaveAttribute("aria-rowcount", "3");
  await expect(page.getByText("2 entries, there are older ones")).toBeVisible();
  const older = page.getByRole("button", { name: "Older entries" });
  await older.click();
  await expect(table).toHaveAttribute("aria-rowcount", "5");
  await page.route(/\/api\/v1\/audit\?.*cursor=/, (route) => route.abort(), { times: 1 });
  await older.click();
  const problem = page.getByRole("alert").filter({ hasText: "does not answer" });
  await expect(problem).toBeVisible();
  await expect(table).toHaveAttribute("aria-rowcount", "5");
  await problem.getByRole("button", { name: "Try again" }).click();
  await expect(table).toHaveAttribute("aria-rowcount", "7");
  await expect(problem).toHaveCount(0);
  // To the end, and no further.
  limit = 1000;
  await older.click();
  await expect(page.getByText("There are no older entries.")).toBeVisible();
  await expect(older).toHaveCount(0);
  limit = 2;
  await page.getByPlaceholder("What, or of whom").fill("pause");
  await page.keyboard.press("Enter");
  await expect(table).toHaveAttribute("aria-rowcount", "3");
  await expect(older).toBeVisible();
});

test("what was refused is there, too", async ({ page, fleet, as, open }) => {
  await fleet.api("POST", "/agents/nobody/stop", {}, "operator").catch(() => {});
  await as("admin");
  await open("audit?action=nobody", "Audit");
  const row = page.getByRole("table", { name: "Audit log" }).getByRole("row").filter({ hasText: "operator-of-the-test" }).first();
  await expect(row).toContainText("refused");
  await row.click();
  await expect(page.getByRole("region", { name: /^Entry \d+$/ })).toContainText("there is no agent nobody");
});

test("a broken chain is told loudly", async ({ page, as, open }) => {
  await as("admin");
  await page.route("**/api/v1/audit*", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ json: { ...(await answer.json()), verified: false, broken: "audit entry 7 is not what was written" } });
  });
  await open("audit", "Audit");
  await expect(page.getByRole("alert")).toContainText("audit entry 7 is not what was written");
});

test("only admins see it", async ({ page, as, open }) => {
  await as("operator");
  await open("audit", "Audit");
  await expect(page.getByText("This needs the role admin")).toBeVisible();
});

test("the audit log fits every screen, and is accessible", async ({ page, fleet, as, open, fits }) => {
  await fleet.post("/pause");
  await fleet.post("/resume");
  await as("admin");
  await open("audit", "Audit");
  await expect(page.getByRole("table", { name: "Audit log" })).toBeVisible();
  await fits("audit");
});
