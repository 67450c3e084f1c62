// What every spec uses: a fleet, pages that are logged in, and a page that fails the test on anything a browser complains
// about: a broken policy, an error on the console, an exception, a request to another host.
const base = require("@playwright/test");
const { AxeBuilder } = require("@axe-core/playwright");
const fs = require("node:fs");
const path = require("node:path");
const { Fleet } = require("./fleet.js");

const root = path.resolve(__dirname, "../..");
const SHOTS = path.join(root, "target/browser/screenshots");
// What is pressed is at least so many pixels wide and high on a small screen.
const THUMB = 32;
const IMAGES = path.join(root, "docs/images");

// Watches a page; the list grows with what is wrong.
async function watch(page, url, faults, expected) {
  const add = (text) => { if (!expected.some((one) => one.test(text))) faults.push(text); };
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) add(`console: ${message.text()} ${message.location().url}`); });
  page.on("pageerror", (error) => add(`exception: ${error.stack}`));
  page.on("dialog", (dialog) => { add(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => {
    const to = request.url();
    if (!to.startsWith(url) && !/^(data|blob):/.test(to)) add(`a request to another host: ${to}`);
  });
  await page.exposeFunction("reportViolation", (text) => add(`policy: ${text}`));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => window.reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
  });
}

const test = base.test.extend({
  // What a test expects to go wrong: patterns of faults that are none.
  expected: [async ({}, use) => { await use([]); }, { scope: "test" }],

  // One orchestrator for all tests of a worker.
  fleet: [async ({}, use) => {
    const fleet = await Fleet.start();
    await use(fleet);
    await fleet.stop();
  }, { scope: "worker", timeout: 60_000 }],

  // `const own = await start({ args })`: a fleet for one test. Nobody looks on when it goes down, as what is refused then
  // would count as a fault.
  start: async ({ page }, use) => {
    const fleets = [];
    await use(async (options) => {
      fleets.push(await Fleet.start(options));
      return fleets.at(-1);
    });
    try {
      await page.goto("about:blank");
    } finally {
      for (const fleet of fleets) await fleet.stop();
    }
  },

  baseURL: async ({ fleet }, use) => { await use(fleet.url); },

  page: async ({ page, fleet, expected }, use, info) => {
    const faults = [];
    await watch(page, fleet.url, faults, expected);
    await use(page);
    if (info.status === info.expectedStatus) base.expect(faults, "what the browser complains about").toEqual([]);
  },

  // `await as("operator")`: the page is logged in with that role.
  as: async ({ page, fleet }, use) => {
    await use(async (role) => {
      const answer = await page.context().request.post(`${fleet.url}/api/v1/session`, { data: { token: fleet.tokens[role] }, headers: { origin: fleet.url } });
      base.expect(answer.status(), await answer.text()).toBe(200);
    });
  },

  // `await open("agents?status=error")`: the view is there and has what it shows.
  open: async ({ page, fleet }, use) => {
    await use(async (where, title) => {
      const to = `${fleet.url}/#/${where}`;
      if (page.url().startsWith(fleet.url)) await page.evaluate((hash) => { location.hash = hash; }, `#/${where}`);
      else await page.goto(to);
      if (title) await base.expect(page.getByRole("heading", { level: 1, name: title })).toBeVisible();
      else await base.expect(page.getByRole("heading", { level: 1 })).toBeVisible();
      await base.expect(page.locator("[aria-busy=true]")).toHaveCount(0);
    });
  },

  // `await accessible()`: axe-core finds nothing, WCAG 2 AA and its best practices.
  accessible: async ({ page }, use) => {
    await use(async () => {
      const { violations } = await new AxeBuilder({ page }).analyze();
      const texts = violations.map((one) => `${one.id}: ${one.help}\n${one.nodes.slice(0, 5).map((node) => `  ${node.html}\n  ${node.failureSummary}`).join("\n")}`);
      base.expect(texts, "what axe-core finds").toEqual([]);
    });
  },

  // `await shot("agents")`: a picture is kept; those that the README shows go to docs/images with SCREENSHOTS=1.
  shot: async ({ page }, use) => {
    await use(async (name, { readme = false } = {}) => {
      fs.mkdirSync(SHOTS, { recursive: true });
      await page.screenshot({ path: path.join(SHOTS, `${name}.png`) });
      if (readme && process.env.SCREENSHOTS) {
        fs.mkdirSync(IMAGES, { recursive: true });
        await page.screenshot({ path: path.join(IMAGES, `${name}.png`) });
      }
    });
  },

  // `await fits()`: nothing sticks out sideways, at 390 px and at 2,560 px, in light and in dark, and axe-core agrees; a thumb
  // can hit what is pressed.
  fits: async ({ page, accessible, shot }, use) => {
    await use(async (name) => {
      // Six screens, and axe-core on four of them, take their time on a machine that does other things beside.
      base.test.info().setTimeout(base.test.info().timeout + 60_000);
      for (const scheme of ["light", "dark"]) {
        for (const [width, height] of [[390, 844], [1440, 900], [2560, 1300]]) {
          await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
          await page.setViewportSize({ width, height });
          // The layout follows in the next frames.
          await base.expect(async () => {
            const wide = await page.evaluate(() => (document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 1).slice(0, 5).map((one) => one.outerHTML.slice(0, 160))));
            base.expect(wide, `what sticks out at ${width} px`).toEqual([]);
          }).toPass({ timeout: 5000 });
          if (width === 390) {
            const small = await page.evaluate((least) => [...document.querySelectorAll("button, select, a.button, .filter")]
              .filter((one) => one.checkVisibility({ checkVisibilityCSS: true }) && !one.closest("svg, .skip"))
              .map((one) => [one.getBoundingClientRect(), one]).filter(([{ width, height }]) => width > 1 && (width < least || height < least))
              .slice(0, 5).map(([{ width, height }, one]) => `${width} × ${height}: ${one.outerHTML.slice(0, 160)}`), THUMB);
            base.expect(small, `what is smaller than ${THUMB} px`).toEqual([]);
          }
          if (width !== 2560) await accessible();
          await shot(`${name}-${scheme}-${width}`);
        }
      }
      await page.emulateMedia({ colorScheme: "light", reducedMotion: "no-preference" });
      await page.setViewportSize({ width: 1440, height: 900 });
    });
  },
});

module.exports = { test, expect: base.expect };
