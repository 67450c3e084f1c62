const { test, expect } = require("../fixture.js");

const box = (page, name) => page.getByRole("button", { name: new RegExp(`^${name}, `) });

test("who needs whom is drawn, with how each is", async ({ page, as, open }) => {
  await as("viewer");
  await open("graph", "Graph");
  for (const name of ["web", "worker", "ticker", "failing", "dunning"]) await expect(box(page, name)).toBeVisible();
  await expect(box(page, "worker")).toHaveAttribute("aria-label", /layer 1, needs 1, needed by 0/);
  const at = async (name) => (await box(page, name).boundingBox()).x;
  expect(await at("web")).toBeLessThan(await at("worker"));
  await expect(page.getByRole("region", { name: "What the boot waited for" })).toBeVisible();
});

test("an agent is chosen with the keyboard, and what would follow if it stopped is told", async ({ page, as, open }) => {
  await as("operator");
  await open("graph", "Graph");
  await box(page, "web").focus();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/graph\/web/);
  const panel = page.getByRole("region", { name: "If web stopped" });
  await expect(panel.getByRole("listitem").filter({ hasText: "ticker" })).toContainText(/skipped/);
  await expect(box(page, "failing")).toHaveCount(0);
  await panel.getByRole("button", { name: "Stop…" }).click();
  const dialog = page.getByRole("dialog", { name: "Stop web?" });
  await expect(dialog).toContainText(/\d agents? would be affected/);
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await page.keyboard.press("Escape");
  await expect(panel).toHaveCount(0);
  await expect(box(page, "failing")).toBeVisible();
});

test("the drawing is moved and zoomed by keys and pointer", async ({ page, as, open }) => {
  await as("viewer");
  await open("graph", "Graph");
  const drawing = page.getByRole("group", { name: /Drawing of the dependencies/ });
  const view = () => drawing.locator("svg").getAttribute("viewBox");
  await drawing.focus();
  const before = await view();
  await page.keyboard.press("ArrowRight");
  const moved = await view();
  expect(moved).not.toBe(before);
  await page.keyboard.press("+");
  const near = (await view()).split(" ").map(Number);
  expect(near[2]).toBeLessThan(Number(moved.split(" ")[2]));
  await page.keyboard.press("0");
  await expect(async () => expect(Number((await view()).split(" ")[0])).toBe(-24)).toPass();
  const { x, y, width, height } = await drawing.boundingBox();
  await page.mouse.move(x + width - 40, y + height - 20);
  await page.mouse.down();
  await page.mouse.move(x + width - 160, y + height - 40, { steps: 4 });
  await page.mouse.up();
  expect(Number((await view()).split(" ")[0])).toBeGreaterThan(0);
  await expect(page).not.toHaveURL(/graph\//);
});

test("the filter shows a part of it, and a list says the same", async ({ page, as, open }) => {
  await as("viewer");
  await open("graph", "Graph");
  await page.getByLabel("Department", { exact: true }).selectOption("finance");
  await expect(box(page, "web")).toHaveCount(0);
  await page.getByLabel("Shown as").selectOption("list");
  await expect(page).toHaveURL(/as=list/);
  const row = page.getByRole("table", { name: "Agents by layer" }).getByRole("row").filter({ hasText: "dunning" });
  await expect(row.getByRole("link", { name: "failing" })).toHaveAttribute("href", /graph\/failing/);
  await page.getByLabel("Find an agent or a department").fill("zzz");
  await expect(page.getByText("No agent fits the filter")).toBeVisible();
});

test("an agent is chosen in the graph; it fits every screen, and is accessible", async ({ page, as, open, fits, shot }) => {
  await as("viewer");
  await open("graph/web", "Graph");
  await expect(page.getByRole("region", { name: "If web stopped" }).getByRole("listitem").first()).toBeVisible();
  await shot("graph", { readme: true });
  await fits("graph");
});

test("a thousand agents are cells, and one of them is drawn with what is around it", async ({ page, expected, start }) => {
  expected.push(/a request to another host: http:\/\/127/);
  const agents = Array.from({ length: 1_000 }, (_, at) => `[[agent]]\nname = "n${at}"\ndepartment = "d${at % 9}"\ncommand = ["true"]\nkind = "job"\n${at >= 100 ? `dependencies = ["n${at - 100}"]\n` : ""}`);
  const fleet = await start({ agents });
  await page.goto(`${fleet.url}/#/graph`);
  await expect(page.getByText(/agents are too many to draw with their lines/)).toBeVisible();
  await page.getByRole("button", { name: /^n950, / }).click();
  await expect(page).toHaveURL(/graph\/n950/);
  await expect(box(page, "n850")).toBeVisible();
  await expect(page.getByRole("button", { name: /^n\d+, / })).toHaveCount(10);
});
