// The browser tests: Debian's Chromium, our binary (fixture.js starts it), one worker, as each has a fleet of its own.
const path = require("node:path");

const root = path.resolve(__dirname, "../..");

module.exports = {
  testDir: path.join(__dirname, "specs"),
  // Two runs at a time do not clear away each other's traces.
  outputDir: path.join(root, "target/browser/results", process.env.BROWSER_RUN ?? "one"),
  timeout: 30_000,
  expect: { timeout: 10_000 },
  workers: 1,
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  reporter: [["list"]],
  use: {
    browserName: "chromium",
    viewport: { width: 1440, height: 900 },
    colorScheme: "light",
    locale: "en-GB",
    timezoneId: "UTC",
    actionTimeout: 10_000,
    trace: "retain-on-failure",
    launchOptions: { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] },
  },
};
