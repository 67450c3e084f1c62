const { test, expect } = require("../fixture.js");

test("a newcomer sees at once which agents need attention, why, and what to do", async ({ page, fleet }) => {
  await fleet.untilStatus("failing", "error");
  const begun = Date.now();
  await page.goto(fleet.url);
  const attention = page.getByRole("region", { name: "Needs attention" });
  const item = attention.getByRole("listitem").filter({ hasText: "failing" }).first();
  await expect(item).toBeVisible();
  await expect(item).toContainText(/exited with code 3/);
  await expect(item.locator(".attention-hint")).toContainText("werkpilot");
  await expect(item, "who may not read logs does not see what it wrote").not.toContainText("tax office");
  expect(Date.now() - begun, "ms until it is seen").toBeLessThan(10_000);
  await item.getByRole("link", { name: "failing" }).first().click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("failing");
});

test("who may read logs sees the last words of what failed, here and with its causes", async ({ page, fleet, as, open }) => {
  await fleet.untilStatus("failing", "error");
  await as("viewer");
  await open("overview", "Overview");
  const item = page.getByRole("region", { name: "Needs attention" }).getByRole("listitem").filter({ hasText: "failing failed" });
  await expect(item).toContainText("the tax office does not answer");
  await open("agents/failing", "failing");
  await expect(page.getByRole("region", { name: "Why" })).toContainText("the tax office does not answer");
});

test("the figures are those of the orchestrator and lead to their views", async ({ page, fleet, open }) => {
  await open("overview", "Overview");
  const figures = page.getByRole("list", { name: "Figures" });
  const { statuses } = (await fleet.get("/overview")).system;
  const total = Object.values(statuses).reduce((sum, number) => sum + number, 0);
  await expect(figures.getByRole("listitem").filter({ hasText: "Agents" })).toContainText(String(total));
  for (const [label, view] of [["Queue", "queue"], ["Dead letters", "dead-letters"], ["Memory", "memory"], ["Agents", "agents"]]) {
    await expect(figures.getByRole("link", { name: new RegExp(`^${label}`) })).toHaveAttribute("href", `#/${view}`);
  }
  await expect(figures.getByRole("listitem").filter({ hasText: "Dead letters" })).toContainText("1 cause, the newest");
  await expect(figures.getByRole("listitem").filter({ hasText: "Automatic restarts" })).toContainText("of 50");
  await expect(page.getByRole("region", { name: "Executions per minute" })).toContainText("in the last hour");
});

test("every agent has its heartbeat, and the worst come first", async ({ page, fleet, open }) => {
  await fleet.untilStatus("failing", "error");
  await open("overview", "Overview");
  const beats = page.getByRole("region", { name: "Heartbeats" }).getByRole("listitem");
  await expect(beats).toHaveCount((await fleet.get("/agents")).agents.length);
  await expect(beats.first()).toContainText(/failing|flapping|off/);
  await expect(beats.filter({ hasText: "failing" }).getByRole("img")).toHaveAttribute("aria-label", /the newest failed/);
});

test("without a login the overview is there, asks every two seconds, and says how to see more", async ({ page, fleet, open }) => {
  await open("overview", "Overview");
  await expect(page.getByText("Every 2 s")).toBeVisible();
  await expect(page.getByText("Not logged in")).toBeVisible();
  await open("agents/failing?tab=logs");
  await expect(page.getByText("Log in to see this")).toBeVisible();
  await expect(page.getByText("werkpilot login", { exact: true })).toBeVisible();
  await open("overview", "Overview");
  await fleet.post("/pause");
  await expect(page.getByText("All triggers are paused.")).toBeVisible();
  await fleet.post("/resume");
  await expect(page.getByText("All triggers are paused.")).toHaveCount(0);
});

test("with a login a change is seen at once, and reading holds it back", async ({ page, as, fleet, open }) => {
  await as("operator");
  await open("overview", "Overview");
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await page.keyboard.press("p");
  await expect(page.getByText("Live updates are paused: you paused them")).toBeVisible();
  await fleet.post("/pause");
  await expect(page.getByText("All triggers are paused.")).toHaveCount(0);
  await page.keyboard.press("p");
  await expect(page.getByText("Live updates are paused")).toHaveCount(0);
  await expect(page.getByText("All triggers are paused.")).toBeVisible();
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(page.getByText("Triggers run again")).toBeVisible();
  await expect(page.getByText("All triggers are paused.")).toHaveCount(0);
});

test("selected text and scrolling pause the page, and it says why", async ({ page, as, open }) => {
  await as("viewer");
  await page.setViewportSize({ width: 390, height: 600 });
  await open("overview", "Overview");
  await page.evaluate(() => scrollTo(0, 400));
  await expect(page.getByText("you have scrolled down")).toBeVisible();
  await page.getByRole("button", { name: /Go on/ }).click();
  await expect(page.getByText("Live updates are paused")).toHaveCount(0);
  await page.evaluate(() => scrollTo(0, 0));
  await page.evaluate(() => document.getSelection().selectAllChildren(document.querySelector("h1")));
  await expect(page.getByText("text is selected")).toBeVisible();
  await page.evaluate(() => document.getSelection().removeAllRanges());
  await expect(page.getByText("Live updates are paused")).toHaveCount(0);
});

test("it fits every screen in light and dark, and is accessible", async ({ page, as, open, fits, shot, fleet }) => {
  await fleet.untilStatus("failing", "error");
  await as("admin");
  await open("overview", "Overview");
  await expect(page.getByRole("region", { name: "Needs attention" })).toBeVisible();
  await shot("overview", { readme: true });
  await fits("overview");
});

test("the first paint does not wait for the modules", async ({ page, fleet }) => {
  await page.goto(fleet.url);
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
  console.log(`first paint after ${Math.round(paint)} ms`);
  // A debug build, which reads each file from the disk and compresses it anew, on a machine that runs other tests beside.
  expect(paint).toBeLessThan(2000);
});
