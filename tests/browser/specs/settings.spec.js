const fs = require("node:fs");
const path = require("node:path");
const { test, expect } = require("../fixture.js");

async function loggedIn(page, fleet, role) {
  await page.context().request.post(`${fleet.url}/api/v1/session`, { data: { token: fleet.tokens[role] }, headers: { origin: fleet.url } });
}

test("every setting has its value, its source and its effect", async ({ page, as, open }) => {
  await as("viewer");
  await open("settings", "Settings");
  const queue = page.getByRole("region", { name: "[queue]" });
  await expect(queue).toContainText("ageing");
  await expect(queue).toContainText("default");
  await expect(page.getByRole("region", { name: "[dashboard]" })).toContainText("werkpilot.toml:2");
  await page.getByLabel("Which").selectOption("set");
  await expect(queue).toHaveCount(0);
  await page.getByLabel("Which").selectOption("");
  await page.getByLabel("Filter by key, value, source or effect").fill("layer_timeout");
  await expect(page.getByRole("region", { name: "[boot]" })).toContainText("How long the next boot layer waits");
  await expect(queue).toHaveCount(0);
  await expect(page).toHaveURL(/q=layer_timeout/);
});

test("what is in the files is shown before it is reloaded, and then it is", async ({ page, expected, start }) => {
  expected.push(/a request to another host: http:\/\/127/);
  const fleet = await start({ args: ["--no-watch"] });
  await loggedIn(page, fleet, "admin");
  await page.goto(`${fleet.url}/#/settings/reload`);
  await expect(page.getByText("The files are what is in effect")).toBeVisible();
  const before = fs.readFileSync(path.join(fleet.registry, "fleet.toml"), "utf8");
  fleet.write("more.toml", "[[agent]]\nname = \"newcomer\"\ncommand = [\"true\"]\nkind = \"job\"\n");
  fleet.write("fleet.toml", before.replace("every = \"2s\"", "every = \"4s\"").replace(/\[\[agent\]\]\nname = "off"[\s\S]*?(?=\[\[agent\]\]|$)/, ""));
  fs.appendFileSync(fleet.config, "[queue]\nageing = \"9m\"\n");
  const changes = page.getByRole("region", { name: "What a reload would change" });
  await expect(changes.getByRole("listitem").filter({ hasText: "newcomer" })).toContainText("added");
  await expect(changes.getByRole("listitem").filter({ hasText: "off" })).toContainText("removed");
  await expect(changes.getByRole("listitem").filter({ hasText: "ticker" })).toContainText(/every\s*2s\s*→ becomes 4s/);
  await expect(changes.getByRole("listitem").filter({ hasText: "queue.ageing" })).toContainText(/5m\s*→ becomes 9m/);
  await page.getByRole("button", { name: "Reload…" }).click();
  const dialog = page.getByRole("dialog", { name: "Reload: 1 agent added, 1 agent removed, 1 agent changed, 1 setting changed?" });
  await expect(dialog).toContainText("1 agent will be stopped");
  await dialog.getByRole("button", { name: "Reload", exact: true }).click();
  await expect(page.getByText("Reloaded: 1 agent added")).toBeVisible();
  await expect(page.getByText("The files are what is in effect")).toBeVisible();
  expect((await fleet.get("/agents/newcomer")).name).toBe("newcomer");
});

test("faults of files that were rejected stay in sight until they are mended", async ({ page, as, open, fleet }) => {
  await as("viewer");
  fleet.write("broken.toml", "[[agent]]\nname = \"broken\"\ncommand = [\"true\"]\nprioritty = 1\n");
  await open("settings/reload", "Settings");
  const rejected = page.getByRole("region", { name: "The last reload was rejected" });
  await expect(rejected).toContainText("unknown key");
  await expect(rejected).toContainText("did you mean");
  await expect(rejected).toContainText(/broken\.toml:4/);
  await expect(page.getByRole("region", { name: "The files have faults" })).toContainText("1 fault");
  fs.rmSync(path.join(fleet.registry, "broken.toml"));
  await fleet.post("/reload");
  await expect(rejected).toHaveCount(0);
});

test("a token is made, its secret is shown once, and it is revoked", async ({ page, as, open, fleet }) => {
  await as("admin");
  await open("settings/tokens", "Settings");
  await page.getByRole("button", { name: "Create a token…" }).click();
  const form = page.getByRole("dialog", { name: "Create a token" });
  await form.getByLabel("Name").fill("no spaces please");
  await form.getByRole("button", { name: "Create" }).click();
  await expect(form).toContainText("letters, digits");
  await form.getByLabel("Name").fill("pipeline");
  await form.getByLabel("Role").selectOption("operator");
  await form.getByRole("button", { name: "Create" }).click();
  const shown = page.getByRole("dialog", { name: "Token pipeline" });
  const secret = await shown.locator("code").first().textContent();
  expect(secret).toMatch(/^wp_[A-Za-z0-9_-]{43}$/);
  await shown.getByRole("button", { name: "I have it" }).click();
  await expect(page.locator("body")).not.toContainText(secret);
  const asked = () => fetch(`${fleet.url}/api/v1/events`, { headers: { authorization: `Bearer ${secret}` } });
  expect((await asked()).status).toBe(200);
  const row = page.getByRole("table", { name: "Tokens" }).getByRole("row").filter({ hasText: "pipeline" });
  await row.getByRole("button", { name: /Revoke/ }).click();
  await page.getByRole("dialog", { name: "Revoke the token pipeline?" }).getByRole("button", { name: "Revoke" }).click();
  await expect(row).toContainText("revoked");
  expect((await asked()).status).toBe(401);
});

test("triggers are paused and resumed", async ({ page, as, open, fleet }) => {
  await as("operator");
  await open("settings/orchestrator", "Settings");
  await page.getByRole("button", { name: "Pause all triggers…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Pause all triggers" }).click();
  const triggers = page.getByRole("region", { name: "Triggers" });
  await expect(triggers).toContainText("paused");
  expect((await fleet.get("/overview")).system.paused).toBe(true);
  await triggers.getByRole("button", { name: "Resume all triggers" }).click();
  await expect(triggers).toContainText("active");
  await expect(page.getByRole("button", { name: "Shut down…" })).toHaveAttribute("aria-disabled", "true");
});

test("who is told of what, and a test of it; and the orchestrator is shut down", async ({ page, expected, start }) => {
  expected.push(/Failed to load resource|ERR_|net::|a request to another host: http:\/\/127/);
  const fleet = await start({ config: "[[notify]]\nname = \"desk\"\ncommand = [\"/bin/cat\"]\nevents = [\"dlq.added\"]\n\n[[notify]]\nname = \"dead\"\ncommand = [\"/bin/false\"]\nevents = [\"agent.disabled\"]\n" });
  await loggedIn(page, fleet, "admin");
  await page.goto(`${fleet.url}/#/settings/notifications`);
  const desk = page.getByRole("article", { name: "Target desk" });
  await expect(desk).toContainText("dlq.added");
  await desk.getByRole("button", { name: "Test desk" }).click();
  await expect(desk.getByRole("status")).toContainText("arrived in");
  await page.getByRole("button", { name: "Test all" }).click();
  await expect(page.getByRole("article", { name: "Target dead" }).getByRole("status")).toContainText("Test:");
  await expect(page.getByText("1 of 2 tests did not arrive")).toBeVisible();
  await page.getByRole("tab", { name: "Orchestrator" }).click();
  await page.getByRole("button", { name: "Shut down…" }).click();
  await page.getByRole("dialog", { name: "Shut down the orchestrator?" }).getByRole("button", { name: "Shut down" }).click();
  await expect(page.getByText("the orchestrator is shutting down")).toBeVisible();
  await fleet.ended;
});

test("settings need a login, tokens the role admin", async ({ page, as, open }) => {
  await open("settings", "Settings");
  await expect(page.getByText("Log in to see this")).toBeVisible();
  await as("operator");
  await page.reload();
  await open("settings/tokens", "Settings");
  await expect(page.getByText("This needs the role admin")).toBeVisible();
});

test("the tab that is chosen is in sight on a small screen", async ({ page, as, open }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await as("viewer");
  await open("settings/orchestrator", "Settings");
  await expect(page.getByRole("tab", { name: "Orchestrator" })).toBeInViewport({ ratio: 0.95 });
  await page.getByRole("tab", { name: "Thresholds" }).click();
  await expect(page.getByRole("tab", { name: "Thresholds" })).toBeInViewport({ ratio: 0.95 });
});

test("settings fit every screen, and are accessible", async ({ page, as, open, fits }) => {
  await as("admin");
  await open("settings", "Settings");
  await expect(page.getByRole("region", { name: "[queue]" })).toBeVisible();
  await fits("settings");
  await open("settings/tokens", "Settings");
  await expect(page.getByRole("table", { name: "Tokens" })).toBeVisible();
  await fits("settings-tokens");
  await open("settings/orchestrator", "Settings");
  await fits("settings-orchestrator");
});
