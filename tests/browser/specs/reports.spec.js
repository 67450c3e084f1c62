const { test, expect } = require("../fixture.js");

test("the optimizer is run, and its report is read", async ({ page, as, open }) => {
  await as("admin");
  await open("reports", "Reports");
  await page.getByRole("button", { name: "Dry run" }).click();
  const dry = page.getByRole("dialog", { name: "Dry run" });
  await expect(dry).toContainText("What it would report");
  await dry.getByRole("button", { name: "Close" }).click();
  await page.getByRole("button", { name: "Run now…" }).click();
  await page.getByRole("dialog", { name: "Run the optimizer now?" }).getByRole("button", { name: "Run now" }).click();
  await expect(page.getByText("The optimizer has looked back")).toBeVisible();
  const report = page.getByRole("article", { name: /^Report \d+$/ });
  await expect(report.getByRole("region", { name: "Proposals" })).toBeVisible();
  await expect(report.getByRole("table", { name: "Baselines by agent" }).getByRole("row").filter({ hasText: "failing" })).toBeVisible();
  await expect(page.getByRole("navigation", { name: "Reports" }).getByRole("link").first()).toHaveAttribute("aria-current", "page");
});

test("proposals have their reason and what to expect", async ({ page, as, open, fleet }) => {
  const { id } = await fleet.post("/optimize", {});
  await page.route(`**/api/v1/reports/${id}`, async (route) => {
    const answer = await route.fetch();
    const report = await answer.json();
    report.proposals = [{ number: 1, kind: "priority", agent: "echo", from: 3, to: 2, evidence: { numbers: {}, words: "it waits 40s or longer" }, effect: { numbers: {}, words: "it waits about 2s" } }];
    report.applied = [{ decision: 4, proposal: 1, agent: "echo", from: 3, to: 2 }];
    await route.fulfill({ json: report });
  });
  await as("viewer");
  await open(`reports/${id}`, "Reports");
  const proposal = page.getByRole("region", { name: "Proposals" }).getByRole("listitem");
  await expect(proposal).toContainText("echo: priority 2 instead of 3");
  await expect(proposal).toContainText("Because it waits 40s or longer");
  await expect(proposal).toContainText("applied, decision 4");
  await expect(page.getByRole("button", { name: "Run now…" })).toHaveAttribute("aria-disabled", "true");
});

test("a decision is undone after a question", async ({ page, as, open }) => {
  const decision = { id: 4, report: 1, at: "2026-11-21T08:00:00Z", agent: "echo", from: 3, to: 2, registry: 3, because: "it waits 40s or longer", state: "standing", changedAt: null, changedBy: null };
  let undone = 0;
  await page.route("**/api/v1/decisions", (route) => route.fulfill({ json: { decisions: [undone ? { ...decision, state: "undone", changedAt: "2026-11-21T09:00:00Z", changedBy: "session:ada" } : decision] } }));
  await page.route("**/api/v1/decisions/4/undo", (route) => {
    undone += 1;
    return route.fulfill({ json: decision });
  });
  await as("admin");
  await open("reports?tab=decisions", "Reports");
  await page.getByRole("button", { name: /Undo/ }).click();
  const dialog = page.getByRole("dialog", { name: "Undo decision 4?" });
  await expect(dialog).toContainText("echo gets priority 3 again");
  await dialog.getByRole("button", { name: "Undo" }).click();
  await expect(page.getByText("Decision 4 is undone")).toBeVisible();
  await expect(page.getByRole("listitem").filter({ hasText: "Decision 4" })).toContainText("undone");
  expect(undone).toBe(1);
});

test("reports fit every screen, and are accessible", async ({ page, fleet, as, open, fits }) => {
  await fleet.post("/optimize", {});
  await as("admin");
  await open("reports", "Reports");
  await expect(page.getByRole("table", { name: "Baselines by agent" })).toBeVisible();
  await fits("reports");
});
