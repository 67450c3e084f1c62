const { test, expect } = require("../fixture.js");

const events = (page) => page.getByRole("table", { name: "Events" }).getByRole("row");

test("events come as they happen, newest first, until one pauses", async ({ page, fleet, as, open }) => {
  await as("operator");
  await open("events?agent=echo", "Events");
  await fleet.post("/agents/echo/trigger", { payload: "one" });
  await expect(events(page).nth(1)).toContainText("execution.succeeded");
  const before = await events(page).count();
  await page.getByRole("button", { name: "Pause" }).click();
  await fleet.post("/agents/echo/trigger", { payload: "two" });
  const follow = page.getByRole("button", { name: /Follow \(\d+ new\)/ });
  await expect(follow).toBeVisible();
  expect(await events(page).count()).toBe(before);
  await follow.click();
  await expect(async () => expect(await events(page).count()).toBeGreaterThan(before)).toPass();
});

test("an event that comes while the page of events is loaded is in the list", async ({ page, fleet, as, open }) => {
  await as("operator");
  await open("overview", "Overview");
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await page.evaluate(async () => {
    const live = await import(new URL("lib/live.js", document.querySelector("script[type=module]").src).href);
    window.ended = new Promise((resolve) => {
      const undo = live.onFact("execution.succeeded", (fact) => {
        if (fact?.data.agent !== "echo") return;
        undo();
        // The view hears of it in the same turn, and shows it a frame later.
        requestAnimationFrame(() => requestAnimationFrame(() => resolve(fact.seq)));
      });
    });
  });
  let late;
  await page.route(/\/api\/v1\/events\?/, async (route) => {
    const response = await route.fetch();
    await fleet.post("/agents/echo/trigger", { payload: "meanwhile" });
    late = await page.evaluate(() => window.ended);
    await route.fulfill({ response });
  }, { times: 1 });
  await open("events?agent=echo", "Events");
  await expect.poll(() => late).toBeTruthy();
  await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
  await expect(events(page).getByText(String(late), { exact: true })).toBeVisible();
});

test("events are filtered by type, agent and text, in the address", async ({ page, as, open }) => {
  await as("viewer");
  await open("events", "Events");
  await page.getByLabel("Type").selectOption("dlq");
  await expect(page).toHaveURL(/type=dlq/);
  await expect(events(page).nth(1)).toContainText("dlq.");
  await page.getByLabel("Agent", { exact: true }).selectOption("failing");
  await page.getByLabel("Find in what is shown").fill("no such words");
  await expect(page.getByText("No event fits")).toBeVisible();
  await page.getByRole("button", { name: "Clear the filter" }).click();
  await expect(page).not.toHaveURL(/type=/);
});

test("an event is opened with its data, and leads to what it is about", async ({ page, as, open }) => {
  await as("viewer");
  await open("events?type=dlq.added", "Events");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  const event = page.getByRole("region", { name: /^Event \d+$/ });
  await expect(event.getByRole("region", { name: /Data of event/ })).toContainText("\"signature\"");
  await event.getByRole("link", { name: "Go to it" }).click();
  await expect(page).toHaveURL(/dead-letters\/\d+/);
});

test("executions are found, opened with their output, and run again", async ({ page, fleet, as, open }) => {
  await fleet.post("/agents/echo/trigger", { payload: "what it got" });
  await expect(async () => expect((await fleet.get("/executions?agent=echo")).executions[0].state).toBe("succeeded")).toPass();
  await as("operator");
  await open("events", "Events");
  await page.getByRole("tab", { name: "Executions" }).click();
  await page.getByLabel("Agent", { exact: true }).selectOption("echo");
  const rows = page.getByRole("table", { name: "Executions" }).getByRole("row");
  await expect(rows.nth(1)).toContainText("succeeded");
  await rows.nth(1).click();
  const execution = page.getByRole("region", { name: "Execution", exact: true });
  await expect(execution.getByRole("region", { name: "Output of the execution" })).toContainText("what it got");
  await execution.getByRole("button", { name: /Run echo now/ }).click();
  await expect(page.getByText("echo is queued")).toBeVisible();
  await page.keyboard.press("Escape");
  await page.getByLabel("End", { exact: true }).selectOption("failed");
  await expect(page.getByText("No execution fits")).toBeVisible();
});

test("older executions stay below while new ones come on top", async ({ page, fleet, as, open }) => {
  const run = async (payload) => fleet.get(`/executions/${(await fleet.post("/agents/echo/trigger", { payload })).runId}/wait`);
  for (let turn = 0; turn < 5; turn += 1) await run(`${turn}`);
  await page.route(/\/api\/v1\/executions\?/, (route) => route.continue({ url: route.request().url().replace(/limit=\d+/, "limit=2") }));
  await as("viewer");
  await open("events?tab=executions&agent=echo", "Events");
  const table = page.getByRole("table", { name: "Executions" });
  await expect(table).toHaveAttribute("aria-rowcount", "3");
  await page.getByRole("button", { name: "Older executions" }).click();
  await expect(table).toHaveAttribute("aria-rowcount", "5");
  await run("one more");
  await expect(table).toHaveAttribute("aria-rowcount", "6");
  await page.getByRole("button", { name: "Older executions" }).click();
  await expect(table).toHaveAttribute("aria-rowcount", /^[78]$/);
});

test("older events are asked for and come below", async ({ page, fleet, as, open }) => {
  await as("viewer");
  for (let turn = 0; turn < 3; turn += 1) await fleet.get(`/executions/${(await fleet.post("/agents/echo/trigger", {})).runId}/wait`);
  const all = (await fleet.get("/events?agent=echo&limit=1000")).events.length;
  // The first page is a short one of a server that says that there may be more.
  await page.route(/\/api\/v1\/events\?/, async (route) => {
    const to = new URL(route.request().url());
    const answer = await route.fetch();
    if (to.searchParams.has("before")) return route.fulfill({ response: answer });
    const { events: known, ...rest } = await answer.json();
    const newest = known.sort((a, b) => b.seq - a.seq).slice(0, 2);
    return route.fulfill({ json: { ...rest, events: newest.concat(Array(498).fill(newest[0])) } });
  });
  await open("events?agent=echo", "Events");
  const table = page.getByRole("table", { name: "Events" });
  await expect(table).toHaveAttribute("aria-rowcount", "3");
  await page.getByRole("button", { name: "Older events" }).click();
  await expect(table).toHaveAttribute("aria-rowcount", String(all + 1));
  await expect(page.getByText("There are no older events.")).toBeVisible();
});

test("one that runs is cancelled", async ({ page, fleet, as, open }) => {
  const { runId } = await fleet.post("/agents/slow/trigger");
  await fleet.untilStatus("slow", "running");
  await as("operator");
  await open(`events?tab=executions&open=${runId}`, "Events");
  const execution = page.getByRole("region", { name: "Execution", exact: true });
  await execution.getByRole("button", { name: "Cancel…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel execution" }).click();
  await expect(execution).toContainText("cancelled");
});

test("nasty names and messages are text", async ({ page, as, open }) => {
  await as("viewer");
  await open("events?agent=nasty", "Events");
  await expect(events(page).nth(1)).toBeVisible();
  expect(await page.title()).toContain("Events");
  await expect(page.locator("main script, main img")).toHaveCount(0);
});

test("events need a login", async ({ page, open }) => {
  await open("events", "Events");
  await expect(page.getByText("Log in to see this")).toBeVisible();
});

test("events and executions fit every screen, and are accessible", async ({ page, as, open, fits }) => {
  await as("viewer");
  await open("events?agent=failing", "Events");
  await expect(events(page).nth(1)).toBeVisible();
  await fits("events");
  await open("events?tab=executions&agent=failing", "Events");
  await expect(page.getByRole("table", { name: "Executions" })).toBeVisible();
  await fits("executions");
});
