const { test, expect } = require("../fixture.js");

const VIEWS = [["overview", "Overview", "o"], ["agents", "Agents", "a"], ["graph", "Graph", "g"], ["schedule", "Schedule", "s"], ["queue", "Queue", "q"], ["dead-letters", "Dead letters", "d"],
  ["bus", "Bus", "b"], ["memory", "Memory", "m"], ["events", "Events", "e"], ["reports", "Reports", "r"], ["settings", "Settings", "t"], ["audit", "Audit", "u"]];

test("every view is reached by the navigation and by two keys", async ({ page, as, open }) => {
  await as("admin");
  await open("overview", "Overview");
  const views = page.getByRole("navigation", { name: "Views" });
  for (const [view, title] of VIEWS) {
    await views.getByRole("link", { name: title }).first().click();
    await expect(page).toHaveURL(new RegExp(`#/${view}`));
    await expect(page.getByRole("heading", { level: 1 })).toContainText(title);
    await expect(views.getByRole("link", { name: title }).first()).toHaveAttribute("aria-current", "page");
    await expect(page).toHaveTitle(new RegExp(`^${title}`));
  }
  for (const [view, , key] of VIEWS) {
    await page.keyboard.press("g");
    await page.keyboard.press(key);
    await expect(page).toHaveURL(new RegExp(`#/${view}`));
  }
});

test("the palette finds views, agents and actions by a few letters", async ({ page, as, open }) => {
  await as("operator");
  await open("overview", "Overview");
  await page.keyboard.press("Control+k");
  const field = page.getByRole("combobox", { name: "Go to or do" });
  await expect(field).toBeFocused();
  await field.fill("flap");
  await expect(page.getByRole("option").first()).toContainText("flapping");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1 })).toContainText("flapping");
  await page.keyboard.press("Control+k");
  await field.fill("dead");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/#\/dead-letters/);
  await page.keyboard.press("Control+k");
  await field.fill("zzzzzz");
  await expect(page.getByText("Nothing fits “zzzzzz”.")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(field).toHaveCount(0);
});

test("the help lists the shortcuts of the view and closes with Esc", async ({ page, as, open, accessible }) => {
  await as("viewer");
  await open("agents", "Agents");
  await page.keyboard.press("?");
  const help = page.getByRole("dialog", { name: "Shortcuts" });
  for (const text of ["Everywhere", "Go to or do", "Next row", "Filter", "Pause or go on with live updates"]) await expect(help).toContainText(text);
  await accessible();
  await page.keyboard.press("Escape");
  await expect(help).toHaveCount(0);
});

test("the theme follows the system until somebody chooses, and is kept", async ({ page, open }) => {
  await page.emulateMedia({ colorScheme: "dark" });
  await open("overview", "Overview");
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await page.getByRole("button", { name: "Theme: auto" }).click();
  await expect(page.getByRole("button", { name: "Theme: light" })).toBeVisible();
  const light = await ground();
  expect(light).not.toBe(dark);
  await page.reload();
  await expect(page.getByRole("button", { name: "Theme: light" })).toBeVisible();
  expect(await ground()).toBe(light);
  await page.keyboard.press("t");
  expect(await ground()).toBe(dark);
});

test("on a small screen the navigation opens over the view", async ({ page, as, open, accessible }) => {
  await as("viewer");
  await page.setViewportSize({ width: 390, height: 844 });
  await open("overview", "Overview");
  const views = page.getByRole("navigation", { name: "Views" });
  await expect(views).toBeHidden();
  await page.getByRole("button", { name: "Navigation", exact: true }).click();
  await expect(views).toBeVisible();
  await accessible();
  await views.getByRole("link", { name: "Agents" }).click();
  await expect(views).toBeHidden();
  await expect(page.getByRole("heading", { level: 1, name: "Agents" })).toBeVisible();
});

test("the first Tab skips the navigation", async ({ page, open }) => {
  await open("overview", "Overview");
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the content" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main")).toBeFocused();
  await expect(page).toHaveURL(/#\/overview$/);
});

test("what is not a view is said, with the way back", async ({ page, open }) => {
  await open("overview", "Overview");
  await page.evaluate(() => { location.hash = "#/nowhere/<b>"; });
  await expect(page.getByText("There is no such view")).toBeVisible();
  await page.getByRole("link", { name: "To the overview" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();
});

test("an orchestrator that is gone is said, and the page goes on when it is back", async ({ browser, start }) => {
  test.setTimeout(90_000);
  const fleet = await start();
  const page = await browser.newPage();
  await page.goto(`${fleet.url}/#/overview`);
  await expect(page.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();
  await fleet.restart(async () => {
    await expect(page.getByText("The orchestrator does not answer")).toBeVisible({ timeout: 15_000 });
    await expect(page.getByText("Not reached")).toBeVisible();
  });
  await expect(page.getByText("The orchestrator does not answer")).toHaveCount(0, { timeout: 15_000 });
  await page.close();
});

test("a proxy that has no orchestrator, and one that is busy, are interruptions: then everything is loaded anew", async ({ page, as, open, expected }) => {
  expected.push(/50[23]/);
  await as("viewer");
  await open("overview", "Overview");
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await page.evaluate(async () => {
    const live = await import(new URL("lib/live.js", document.querySelector("script[type=module]").src).href);
    window.anew = 0;
    live.onFact(">", (fact) => { if (fact === null) window.anew += 1; });
  });
  const answers = async (status) => {
    const polled = /\/api\/v1\/(overview|agent-changes)/;
    await page.unroute(polled);
    if (status !== 200) await page.route(polled, (route) => route.fulfill({ status, body: "" }));
    await page.waitForResponse((answer) => polled.test(answer.url()) && answer.status() === status);
  };
  await answers(502);
  await expect(page.getByText("The orchestrator does not answer")).toBeVisible();
  await answers(503);
  await expect(page.getByText("The orchestrator does not answer")).toHaveCount(0);
  expect(await page.evaluate(() => window.anew)).toBe(0);
  await answers(200);
  await expect.poll(() => page.evaluate(() => window.anew)).toBe(1);
});

test("every asset is ours, typed, and cannot be left by a path", async ({ page, fleet }) => {
  const answer = await page.request.get(fleet.url);
  const policy = answer.headers()["content-security-policy"];
  for (const part of ["default-src 'none'", "script-src 'self' 'sha256-", "frame-ancestors 'none'", "base-uri 'none'"]) expect(policy).toContain(part);
  expect(policy).not.toContain("unsafe");
  for (const path of ["/assets/../Cargo.toml", "/assets/%2e%2e/%2e%2e/Cargo.toml", "/assets//etc/passwd", "/assets/js/../../../Cargo.toml", "/assets/index.html", "/assets/nothing.js"]) {
    expect((await page.request.get(fleet.url + path)).status(), path).toBe(404);
  }
  const script = await page.request.get(`${fleet.url}/assets/js/main.js`);
  expect(script.headers()["content-type"]).toBe("text/javascript; charset=utf-8");
  const again = await page.request.get(`${fleet.url}/assets/js/main.js`, { headers: { "if-none-match": script.headers().etag } });
  expect(again.status()).toBe(304);
});

test("a fact reaches the open page while it is fresh", async ({ page, as, open, fleet }) => {
  await as("viewer");
  await open("overview", "Overview");
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  const collected = page.evaluate(async () => {
    const live = await import(new URL("lib/live.js", document.querySelector("script[type=module]").src).href);
    const delays = [];
    await new Promise((resolve) => {
      const undo = live.onFact(">", (fact) => {
        if (fact) delays.push(Date.now() - Date.parse(fact.time));
        if (delays.length >= 100) {
          undo();
          resolve();
        }
      });
    });
    return delays.sort((a, b) => a - b);
  });
  for (let turn = 0; turn < 5; turn += 1) await Promise.all(Array.from({ length: 8 }, () => fleet.post("/agents/echo/trigger", { payload: "x" })));
  const delays = await collected;
  console.log(`a fact is in the page after ${delays[50]} ms (median), ${delays[95]} ms (p95)`);
  expect(delays[50]).toBeLessThan(500);
});
