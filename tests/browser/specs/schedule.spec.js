const { test, expect } = require("../fixture.js");

test("who is due is on a line of the next 24 hours", async ({ page, as, open }) => {
  await as("viewer");
  await open("schedule", "Schedule");
  const table = page.getByRole("table", { name: "When agents are due" });
  for (const name of ["ticker", "dunning", "failing"]) await expect(table.getByRole("row").filter({ hasText: name })).toBeVisible();
  await expect(table.getByRole("row").filter({ hasText: "failing" }).getByRole("img")).toHaveAttribute("aria-label", /due at 03:00:00/);
  // It is due every two seconds, and hides nobody else: what cannot be told apart is one band that says how often it is.
  const ticker = table.getByRole("row").filter({ hasText: "ticker" }).getByRole("img");
  await expect(ticker).toHaveAttribute("aria-label", /^due every 2s, 43.\d{3} times from \d\d:\d\d:\d\d on$/);
  await expect(ticker.locator("i")).toHaveCount(1);
  await expect(ticker).toContainText("every 2s");
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

test("runs are marks where they can be told apart, and a band where not", async ({ page, as, open }) => {
  await as("viewer");
  await page.route(/\/api\/v1\/schedule\?/, (route) => {
    const hours = Number(new URL(route.request().url()).searchParams.get("hours"));
    const at = (hour) => new Date(Date.now() + hour * 3_600_000 - 1_000).toISOString();
    return route.fulfill({ json: { runs: Array.from({ length: hours }, (_, hour) => ({ agent: "off", at: at(hour + 1), scheduledFor: at(hour + 1), trigger: "schedule" })), next: null, leftOut: [] } });
  });
  await open("schedule", "Schedule");
  const line = page.getByRole("table", { name: "When agents are due" }).getByRole("row").filter({ hasText: "off" }).getByRole("img");
  await expect(line.locator("i")).toHaveCount(24);
  await expect(line).toHaveAttribute("aria-label", /^due at [\d:]+, [\d:]+, [\d:]+ and 21 more$/);
  await page.getByLabel("Ahead").selectOption("168");
  await expect(line).toContainText("every 1h");
  await expect(line.locator("i")).toHaveCount(1);
  await page.getByLabel("Ahead").selectOption("1");
  await expect(line.locator("i")).toHaveCount(1);
  await expect(line.locator(".band")).toHaveCount(0);
});

test("the next runs are a list, too", async ({ page, as, open }) => {
  await as("viewer");
  await open("schedule", "Schedule");
  await page.getByRole("tab", { name: "Next runs" }).click();
  await expect(page).toHaveURL(/tab=list/);
  const rows = page.getByRole("table", { name: "Next runs" }).getByRole("row");
  await expect(rows.nth(1)).toContainText(/ticker|dunning/);
});

test("what is done again to the same agent is told in one notice, that is heard, and a fault beside it stays", async ({ page, as, open, expected }) => {
  expected.push(/503/);
  await as("operator");
  await open("schedule", "Schedule");
  const run = page.getByRole("table").getByRole("row").filter({ hasText: "ticker" }).getByRole("button", { name: /Run/ });
  const notices = page.getByRole("region", { name: "Notices" });
  // A screen reader says what is added to a live region, not what changes its place.
  await notices.evaluate((region) => {
    window.heard = [];
    new MutationObserver((changes) => {
      for (const { addedNodes } of changes) for (const node of addedNodes) if (node.getAttribute?.("role")) window.heard.push(node.getAttribute("role"));
    }).observe(region.querySelector("[aria-live=polite]"), { childList: true });
  });
  await page.route("**/api/v1/agents/ticker/trigger", (route) => route.fulfill({ status: 503, contentType: "application/problem+json", json: { title: "Busy", detail: "the queue is full", hint: "try again" } }), { times: 1 });
  await run.click();
  await expect(notices.getByRole("alert")).toContainText("ticker was not run");
  for (let turn = 1; turn <= 5; turn += 1) {
    await run.click();
    await expect(notices.getByRole("status")).toContainText(turn === 1 ? "ticker is queued" : `(${turn} times)`);
  }
  await expect(notices.getByRole("status")).toHaveCount(1);
  expect(await page.evaluate(() => window.heard)).toEqual(["alert", "status", "status", "status", "status", "status"]);
  await expect(notices.getByRole("status")).toHaveCount(0);
  await expect(notices.getByRole("alert")).toContainText("the queue is full");
  await notices.getByRole("button", { name: "Close this notice" }).click();
  await expect(notices.getByRole("alert")).toHaveCount(0);
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
