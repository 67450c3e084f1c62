const { test, expect } = require("../fixture.js");

// Three executions of a job that takes 30 s: one runs, the others wait for it.
async function fill(fleet) {
  for (let number = 0; number < 3; number += 1) await fleet.post("/agents/slow/trigger", { payload: `${number}` });
}

async function drain(fleet) {
  await expect(async () => {
    const { live } = await fleet.get("/agents/slow");
    for (const { run } of live) await fleet.post(`/executions/${run}/cancel`).catch(() => {});
    expect((await fleet.get("/agents/slow")).live).toEqual([]);
  }).toPass();
}

test.afterEach(({ fleet }) => drain(fleet));

test("what waits is there in its order, with why it waits", async ({ page, fleet, as, open }) => {
  await as("viewer");
  await open("queue", "Queue");
  await expect(page.getByText("Nothing waits")).toBeVisible();
  await fill(fleet);
  const rows = page.getByRole("table", { name: "Executions that wait" }).getByRole("row").filter({ hasText: "slow" });
  await expect(rows).toHaveCount(2);
  await expect(rows.first()).toContainText("waits until an earlier execution of the same agent has ended");
  await expect(page.getByRole("listitem").filter({ hasText: "Waiting" }).first()).toContainText("2");
  await expect(rows.first().getByRole("button", { name: /Cancel/ })).toHaveAttribute("aria-disabled", "true");
});

test("the filter is in the address and finds what is shown", async ({ page, fleet, as, open }) => {
  await as("viewer");
  await fill(fleet);
  await open("queue", "Queue");
  await page.keyboard.press("/");
  await page.keyboard.type("nobody has this");
  await expect(page.getByText("Nothing that waits fits the filter")).toBeVisible();
  await expect(page).toHaveURL(/q=nobody/);
  await page.getByRole("button", { name: "Clear the filter" }).click();
  await page.getByLabel("Because").selectOption({ index: 1 });
  await expect(page).toHaveURL(/why=waiting_for_previous/);
  await expect(page.getByRole("table").getByRole("row").filter({ hasText: "slow" })).toHaveCount(2);
});

test("one is cancelled after a question", async ({ page, fleet, as, open }) => {
  await as("operator");
  await fill(fleet);
  await open("queue", "Queue");
  const rows = page.getByRole("table").getByRole("row").filter({ hasText: "slow" });
  await rows.first().getByRole("button", { name: /Cancel/ }).click();
  const dialog = page.getByRole("dialog", { name: "Cancel the execution of slow?" });
  await dialog.getByRole("button", { name: "Cancel", exact: true }).click();
  await expect(dialog).toHaveCount(0);
  await expect(rows).toHaveCount(2);
  await rows.first().getByRole("button", { name: /Cancel/ }).click();
  await dialog.getByRole("button", { name: "Cancel execution" }).click();
  await expect(page.getByText("The execution of slow is being cancelled")).toBeVisible();
  await expect(rows).toHaveCount(1);
});

test("several are chosen with the keyboard and cancelled with their number", async ({ page, fleet, as, open }) => {
  await as("operator");
  await fill(fleet);
  await open("queue", "Queue");
  await expect(page.getByRole("table").getByRole("row").filter({ hasText: "slow" })).toHaveCount(2);
  for (const key of ["j", "x", "j", "x"]) await page.keyboard.press(key);
  await page.getByRole("button", { name: "Cancel 2…" }).click();
  await page.getByRole("dialog", { name: "Cancel 2 executions?" }).getByRole("button", { name: "Cancel 2 executions" }).click();
  await expect(page.getByText("2 executions being cancelled")).toBeVisible();
  await expect(page.getByText("Nothing waits")).toBeVisible();
});

test("the queue fits every screen, and is accessible", async ({ fleet, as, open, fits, page }) => {
  await as("operator");
  await fill(fleet);
  await open("queue", "Queue");
  await expect(page.getByRole("table").getByRole("row").filter({ hasText: "slow" })).toHaveCount(2);
  await fits("queue");
});
