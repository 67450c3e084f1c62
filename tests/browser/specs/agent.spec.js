const { test, expect } = require("../fixture.js");

const tab = (page, name) => page.getByRole("tab", { name, exact: false }).and(page.locator(`[id="tab-${name.toLowerCase()}"]`));

test("it says why an agent is as it is, what follows and what one can do", async ({ page, as, fleet, open }) => {
  await fleet.untilStatus("failing", "error");
  await as("viewer");
  await open("agents/failing", "failing");
  await expect(page).toHaveTitle("failing · Werkpilot");
  const why = page.getByRole("region", { name: "Why" });
  await expect(why).toContainText("exited with code 3");
  await expect(why).toContainText("werkpilot logs failing");
  await expect(page.getByRole("region", { name: "Dependencies" })).toContainText("dunning");
  await expect(page.getByRole("region", { name: "Runs", exact: true })).toBeVisible();
  await expect(page.getByRole("region", { name: "Memory" })).toBeVisible();
  await page.getByRole("region", { name: "Dependencies" }).getByRole("link", { name: "dunning" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("dunning");
  await expect(page.getByRole("region", { name: "Why" })).toContainText("failing");
});

test("charts of latency and memory are drawn from what ran", async ({ page, as, fleet, open }) => {
  await expect(async () => { expect((await fleet.get("/executions?agent=ticker&limit=5")).executions.length).toBeGreaterThan(2); }).toPass();
  await as("viewer");
  await open("agents/ticker", "ticker");
  await expect(page.getByRole("img", { name: /^Duration of the runs of ticker\. succeeded: \d/ })).toBeVisible();
  await expect(page.getByRole("region", { name: "Runs", exact: true }).getByRole("link", { name: /^succeeded/ }).first()).toBeVisible();
  await open("agents/web", "web");
  await expect(page.getByRole("img", { name: /^Memory of web/ })).toBeVisible({ timeout: 20_000 });
});

test("runs are listed, filtered and opened, with their output", async ({ page, as, fleet, open }) => {
  const payload = `hello-${Date.now()}`;
  const { runId } = await fleet.post("/agents/echo/trigger", { payload });
  await fleet.get(`/executions/${runId}/wait`);
  await as("viewer");
  await open("agents/echo?tab=runs", "echo");
  const runs = page.getByRole("table", { name: "Runs" });
  await expect(runs.getByRole("row").nth(1)).toContainText("succeeded");
  await page.getByLabel("End").selectOption("failed");
  await expect(page.getByText("No run fits")).toBeVisible();
  await page.getByLabel("End").selectOption("");
  await runs.getByRole("row").nth(1).click();
  await expect(page).toHaveURL(/run=/);
  await expect(page.getByRole("log")).toContainText(payload);
  await expect(page.getByText("Trigger", { exact: true })).toBeVisible();
  await page.getByRole("button", { name: "← All runs" }).click();
  await expect(runs).toBeVisible();
});

test("a job is run with a payload, and a run is cancelled", async ({ page, as, fleet, open }) => {
  await as("operator");
  await open("agents/echo", "echo");
  await page.getByRole("button", { name: "Run now" }).click();
  const dialog = page.getByRole("dialog", { name: "Run echo" });
  const payload = `{"customer": ${Date.now()}}`;
  await dialog.getByRole("textbox").fill(payload);
  await dialog.getByRole("button", { name: "Run", exact: true }).click();
  await expect(page.getByText(/echo is queued as/)).toBeVisible();
  await tab(page, "Logs").click();
  await expect(page.getByRole("log")).toContainText(payload);
  await fleet.post("/agents/slow/trigger");
  await fleet.untilStatus("slow", "running");
  await open("agents/slow", "slow");
  await page.getByRole("region", { name: "Executions now" }).getByRole("link").first().click();
  await page.getByRole("button", { name: "Cancel the run" }).click();
  await page.getByRole("dialog", { name: "Cancel this run?" }).getByRole("button", { name: "Cancel the run" }).click();
  await expect(page.getByText("The run is being cancelled")).toBeVisible();
  await fleet.untilStatus("slow", "idle");
  await expect(page.locator(".end").filter({ hasText: "cancelled" })).toBeVisible();
});

test("an agent is stopped, started, restarted, disabled and enabled", async ({ page, as, fleet, open }) => {
  await as("operator");
  await open("agents/worker", "worker");
  const status = page.locator(".agent-status");
  const sure = async (verb) => {
    await page.getByRole("button", { name: verb, exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: verb, exact: true }).click();
  };
  await expect(status).toContainText("running");
  const [pid] = (await fleet.get("/agents/worker")).pids;
  await sure("Restart");
  await expect(async () => { expect((await fleet.get("/agents/worker")).pids).not.toEqual([pid]); }).toPass();
  await expect(status).toContainText("running");
  await sure("Stop");
  await expect(status).toContainText("stopped");
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await expect(status).toContainText("running");
  await sure("Disable");
  await expect(status).toContainText("disabled");
  await page.getByRole("button", { name: "Enable", exact: true }).click();
  await expect(status).toContainText("running");
});

test("the log follows, is searched and filtered, and obeys nothing that it holds", async ({ page, as, fleet, open }) => {
  await as("viewer");
  await open("agents/web?tab=logs", "web");
  const log = page.getByRole("log");
  await expect(log).toContainText("served");
  // Only the lines in sight are in the page; how many there are is said above them.
  const lines = async () => Number(/(\d+) lines?/.exec(await page.locator(".logs").innerText())?.[1] ?? 0);
  const before = await lines();
  await expect.poll(lines).toBeGreaterThan(before + 1);
  await open("agents/nasty?tab=logs", "nasty");
  await expect(log).toContainText("the <b>last</b> line");
  await log.evaluate((element) => { element.scrollTop = 0; });
  await expect(log).toContainText("<script>document.title='owned'</script><img src=x onerror=alert(1)>");
  await expect(log).toContainText("␛[31mred␛[0m");
  await expect(log).toContainText("‹U+202E›");
  await expect(log).toContainText("␀");
  await expect(page).toHaveTitle("nasty · Werkpilot");
  expect(await page.locator("#main img, #main script").count()).toBe(0);
  await page.getByLabel("Stream").selectOption("stderr");
  await expect(log).toContainText("the <b>last</b> line");
  await expect(log).not.toContainText("bell");
  await page.getByLabel("Stream").selectOption("");
  await page.getByLabel("Search the log").fill("RED");
  await expect(log.locator("mark").first()).toHaveText("red");
  await page.getByLabel("Search the log").fill("nothing like this");
  await expect(page.getByText("No line fits")).toBeVisible();
});

test("older lines of a log come above those that are there", async ({ page, as, fleet, open }) => {
  await as("viewer");
  await fleet.post("/agents/echo/trigger", { payload: Array.from({ length: 1_200 }, (_, at) => `line ${at + 1}.`).join("\n") });
  await open("agents/echo?tab=logs", "echo");
  const log = page.getByRole("log");
  await expect(log).toContainText("line 1200.");
  await page.getByLabel("Follow").uncheck();
  await expect(page.locator(".logs")).toContainText("500 lines");
  await page.getByRole("button", { name: "Older lines" }).click();
  await expect(log).toContainText("line 1200.");
  await expect(page.getByRole("button", { name: "Older lines" })).toHaveCount(0);
  await log.evaluate((element) => { element.scrollTop = 0; });
  await expect(log).toContainText("line 1.");
});

test("a line of a megabyte does not make the page slow", async ({ page, as, open }) => {
  await as("viewer");
  await open("agents/nasty?tab=logs", "nasty");
  await expect(page.getByRole("log")).toContainText("more characters");
  await page.getByLabel("Wrap").check();
  await expect(page.getByRole("log")).toContainText("the <b>last</b> line");
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  await page.getByLabel("Wrap").uncheck();
});

test("the configuration tells where each value came from", async ({ page, as, open }) => {
  await as("viewer");
  await open("agents/flapping?tab=config", "flapping");
  const row = (key) => page.getByRole("row").filter({ has: page.getByRole("rowheader", { name: key, exact: true }) });
  await expect(row("kind")).toContainText("service");
  await expect(row("kind")).toContainText(/fleet\.toml:\d+/);
  await expect(row("priority")).toContainText("default");
  await page.getByLabel("Defaults too").uncheck();
  await expect(row("priority")).toHaveCount(0);
  await expect(row("kind")).toBeVisible();
});

test("health is shown with what will happen", async ({ page, as, open }) => {
  await as("viewer");
  await open("agents/flapping?tab=health", "flapping");
  await expect(page.getByRole("region", { name: "Health" })).toContainText("unhealthy");
  await expect(page.getByRole("region", { name: "Requests it serves" })).toContainText("rpc.flapping");
});

test("a login is offered where one is needed", async ({ page, open }) => {
  await open("agents/web", "web");
  await expect(page.getByRole("region", { name: "Why" })).toContainText("web");
  for (const name of ["Runs", "Logs", "Config"]) {
    await tab(page, name).click();
    await expect(page.getByText("Log in to see this")).toBeVisible();
  }
  await expect(page.getByRole("button", { name: "Stop" })).toHaveAttribute("aria-disabled", "true");
});

test("what is not there is said", async ({ page, as, open, expected }) => {
  expected.push(/404/);
  await as("viewer");
  await open("agents/nobody", "nobody");
  await expect(page.getByText("There is no such agent")).toBeVisible();
  await open("agents/%3Cimg%20src%3Dx%3E");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("<img src=x>");
});
