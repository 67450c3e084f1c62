const { test, expect } = require("../fixture.js");

test("who is due is on a line of the next 24 hours", async ({ page, as, open }) => {
  await as("viewer");
  await open("schedule", "Schedule");
  const table = page.getByRole("table", { name: "When agents are due" });
  for (const name of ["ticker", "dunning", "failing"]) await expect(table.getByRole("row").filter({ hasText: name })).toBeVisible();
  await expect(table.getByRole("row").filter({ hasText: "failing" }).getByRole("img")).toHaveAttribute("aria-label", /due at 03:00:00/);
  // It is due every two seconds, and hides nobody else: what goes on and on is a bar.
  await expect(table.getByRole("row").filter({ hasText: "ticker" }).getByRole("img")).toHaveAttribute("aria-label", /and many more/);
  await expect(page.getByRole("img", { name: /How many executions are due/ })).toBeVisible();
  await expect(page.getByRole("region", { name: "Collisions" })).toBeVisible();
});

test("the filter and the time ahead are in the address", async ({ page, as, open }) => {
  await as("viewer");
  await open("schedule", "Schedule");
  await page.getByLabel("Filter by agent, department or schedule").fill("finance");
  await expect(page.getByRole("table").getByRole("row").filter({ hasText: "ticker" })).toHaveCount(0);
  await page.getByLabel("Ahead").selectOption("1");
  await expect(page).toHaveURL(/q=finance/);
  await expect(page).toHaveURL(/hours=1/);
  await page.reload();
  await expect(page.getByLabel("Filter by agent, department or schedule")).toHaveValue("finance");
  await expect(page.getByRole("table").getByRole("row").filter({ hasText: "dunning" })).toBeVisible();
});

test("a job is run now, by those who may", async ({ page, fleet, as, open }) => {
  await open("schedule", "Schedule");
  const run = page.getByRole("table").getByRole("row").filter({ hasText: "ticker" }).getByRole("button", { name: /Run/ });
  await expect(run).toHaveAttribute("aria-disabled", "true");
  await expect(run).toHaveAttribute("title", /werkpilot login/);
  await as("operator");
  await page.reload();
  const before = (await fleet.get("/executions?agent=ticker&trigger=manual&limit=1000")).executions.length;
  await run.click();
  await expect(page.getByText("ticker is queued")).toBeVisible();
  await expect(async () => expect((await fleet.get("/executions?agent=ticker&trigger=manual&limit=1000")).executions.length).toBe(before + 1)).toPass();
});

test("the next runs are a list, too", async ({ page, as, open }) => {
  await as("viewer");
  await open("schedule", "Schedule");
  await page.getByRole("tab", { name: "Next runs" }).click();
  await expect(page).toHaveURL(/tab=list/);
  const rows = page.getByRole("table", { name: "Next runs" }).getByRole("row");
  await expect(rows.nth(1)).toContainText(/ticker|dunning/);
});

test("a simulation tells what would happen with other workers", async ({ page, as, open }) => {
  await as("viewer");
  await open("schedule?tab=what-if", "Schedule");
  await page.getByLabel("Hours ahead").fill("never");
  await page.getByRole("button", { name: "Simulate", exact: true }).click();
  await expect(page.getByRole("alert")).toContainText("hours is a number");
  await page.getByLabel("Hours ahead").fill("2");
  await page.getByLabel("Workers").fill("1");
  await page.getByLabel("Workers").press("Enter");
  await expect(page.getByRole("table", { name: "Forecasts by agent" })).toBeVisible();
  await expect(page.getByRole("list").first()).toBeVisible();
  await expect(page.getByText("with 1 worker")).toBeVisible();
  await expect(page.getByText("What was assumed")).toBeVisible();
});

test("a simulation needs a login", async ({ page, open }) => {
  await open("schedule?tab=what-if", "Schedule");
  await expect(page.getByText("Log in to see this")).toBeVisible();
});

test("the schedule fits every screen, and is accessible", async ({ as, open, fits, page }) => {
  await as("operator");
  await open("schedule", "Schedule");
  await expect(page.getByRole("table")).toBeVisible();
  await fits("schedule");
});
