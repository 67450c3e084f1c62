const { test, expect } = require("../fixture.js");

test("the link of `werkpilot login` logs in once, and its code leaves the address at once", async ({ page, fleet, expected }) => {
  expected.push(/40[0-9]/);
  const link = fleet.loginLink();
  await page.goto(link);
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  expect(page.url()).not.toContain("login=");
  await expect(page.getByRole("button", { name: "Log out" })).toBeVisible();
  await page.reload();
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await page.getByRole("button", { name: "Log out" }).click();
  await expect(page.getByText("Not logged in")).toBeVisible();
  await page.goto("about:blank");
  await page.goto(link);
  await expect(page.getByText("The login did not work")).toBeVisible();
  await expect(page.getByText("Not logged in")).toBeVisible();
});

test("a link that is pasted into an open tab logs in there, and a used one says so", async ({ page, fleet, open, expected }) => {
  expected.push(/40[0-9]/);
  const hash = new URL(fleet.loginLink()).hash;
  await open("settings", "Settings");
  await page.evaluate((code) => { location.hash = code; }, hash);
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await expect(page.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();
  await expect(page).toHaveURL(/#\/$/);
  await page.evaluate((code) => { location.hash = code; }, hash);
  await expect(page.getByText("The login did not work")).toBeVisible();
  await expect(page).toHaveURL(/#\/$/);
});

test("a token logs in, a wrong one is a problem that says what to do", async ({ page, fleet, open, expected }) => {
  expected.push(/40[0-9]/);
  await open("login", "Log in");
  await page.getByLabel("Token or code").fill(`wp_${"x".repeat(43)}`);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("alert").filter({ hasText: /token/ })).toBeVisible();
  await page.getByLabel("Token or code").fill(fleet.tokens.viewer);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await open("login", "Log in");
  await expect(page.getByText(/viewer\./)).toBeVisible();
  await expect(page.getByText("You see everything and change nothing.")).toBeVisible();
  const stored = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  expect(stored).not.toContain("wp_");
});

test("a viewer sees what an operator may do, and why not", async ({ page, as, open }) => {
  await as("viewer");
  await open("agents/web", "web");
  const stop = page.getByRole("button", { name: "Stop" });
  await expect(stop).toHaveAttribute("aria-disabled", "true");
  await expect(stop).toHaveAttribute("title", "needs the role operator; you are viewer");
});

test("a session that is revoked ends on the open page", async ({ page, fleet, open, expected }) => {
  expected.push(/401/, /ERR_/, /Failed to load/);
  const { token, id } = await fleet.post("/tokens", { name: "passing", role: "viewer" });
  await open("login", "Log in");
  await page.getByLabel("Token or code").fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await fleet.api("DELETE", `/tokens/${id}`);
  await expect(page.getByText("Not logged in")).toBeVisible({ timeout: 10_000 });
});

test("it fits every screen in light and dark, and is accessible", async ({ open, fits }) => {
  await open("login", "Log in");
  await fits("login");
});
