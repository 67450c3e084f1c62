const { test, expect } = require("../fixture.js");

// As many more dead letters of `failing`, each with its payload.
async function make(fleet, payloads) {
  await fleet.post("/agents/failing/enable");
  const before = (await fleet.get("/dead-letters?agent=failing&limit=1000")).matching;
  for (const [at, payload] of payloads.entries()) {
    await fleet.post("/agents/failing/trigger", { payload });
    // Its breaker opens after three; nothing here is about breakers.
    await expect(async () => expect((await fleet.get("/dead-letters?agent=failing&limit=1000")).matching).toBe(before + at + 1)).toPass();
    await fleet.post("/agents/failing/enable");
  }
  const letters = (await fleet.get("/dead-letters?agent=failing&limit=1000")).deadLetters;
  return letters.slice(-payloads.length).map(({ id }) => id);
}

test.beforeEach(async ({ fleet }) => {
  await fleet.post("/dead-letters/discard", { all: true });
  await fleet.post("/agents/failing/enable");
});

test.afterEach(async ({ fleet }) => {
  for (const set of (await fleet.get("/dead-letters/replay")).replays) if (!set.over) await fleet.post(`/dead-letters/replay/${set.id}/cancel`);
});

const rows = (page) => page.getByRole("table", { name: "Dead letters" }).getByRole("row").filter({ hasText: "failing" });

test("letters are grouped by their error and found by their text", async ({ page, fleet, as, open }) => {
  await make(fleet, ["invoice 41", "invoice 42"]);
  await as("viewer");
  await open("dead-letters", "Dead letters");
  await expect(rows(page)).toHaveCount(2);
  const group = page.getByRole("region", { name: "By error" }).getByRole("button");
  await expect(group.first()).toContainText("2×");
  await group.first().click();
  await expect(page).toHaveURL(/signature=/);
  await page.getByLabel("Search in error, log and payload").fill("invoice 41");
  await expect(rows(page)).toHaveCount(1);
  await expect(page).toHaveURL(/text=invoice/);
  await page.getByLabel("Search in error, log and payload").fill("nothing like that");
  await expect(page.getByText("No dead letter fits the filter")).toBeVisible();
  await page.getByRole("button", { name: "Clear the filter" }).click();
  await expect(rows(page)).toHaveCount(2);
});

test("a letter is shown with all that is needed to understand it", async ({ page, fleet, as, open }) => {
  const [id] = await make(fleet, ["{\"invoice\": 7}"]);
  await as("viewer");
  await open(`dead-letters/${id}`, "Dead letters");
  const letter = page.getByRole("region", { name: `Dead letter ${id}`, exact: true });
  await expect(letter).toContainText("exited with code 3");
  await expect(letter.getByRole("region", { name: /Payload/ }).last()).toContainText("\"invoice\": 7");
  await expect(letter.getByRole("region", { name: /Last lines of the log/ })).toContainText("the tax office does not answer");
  await expect(letter.getByRole("region", { name: "Attempts" }).getByRole("listitem")).toHaveCount(1);
  await expect(letter.getByRole("button", { name: "Replay", exact: true })).toHaveAttribute("aria-disabled", "true");
  await page.keyboard.press("Escape");
  await expect(letter).toHaveCount(0);
});

test("one is edited and replayed", async ({ page, fleet, as, open }) => {
  const [id] = await make(fleet, ["{\"invoice\":7}"]);
  await as("operator");
  await open(`dead-letters/${id}`, "Dead letters");
  await page.getByRole("button", { name: "Edit and replay…" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByLabel("Payload")).toHaveValue("{\n  \"invoice\": 7\n}");
  await dialog.getByLabel("Payload").fill("{\"invoice\":8}");
  await dialog.getByRole("button", { name: "Save and replay" }).click();
  await expect(page.getByText(new RegExp(`dead letter ${id} is replayed as`))).toBeVisible();
  expect((await fleet.get(`/dead-letters/${id}`)).executionData.payload).toBe("{\"invoice\":8}");
  await expect(page.getByRole("region", { name: `Dead letter ${id}`, exact: true })).toContainText("open, tried 1×");
});

test("one waits for the health of an agent, and waits no more", async ({ page, fleet, as, open }) => {
  const [id] = await make(fleet, ["x"]);
  await as("operator");
  await open(`dead-letters/${id}`, "Dead letters");
  const letter = page.getByRole("region", { name: `Dead letter ${id}`, exact: true });
  await letter.getByRole("button", { name: "Replay when healthy…" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByLabel("Agent whose health is waited for")).toHaveValue("failing");
  await dialog.getByRole("button", { name: "Wait and replay" }).click();
  await expect(letter).toContainText("waits for failing");
  await letter.getByRole("button", { name: "Do not wait any more" }).click();
  await expect(letter.getByRole("button", { name: "Replay when healthy…" })).toBeVisible();
});

test("one is discarded after a question", async ({ page, fleet, as, open }) => {
  const [id] = await make(fleet, ["x"]);
  await as("operator");
  await open(`dead-letters/${id}`, "Dead letters");
  await page.getByRole("region", { name: `Dead letter ${id}`, exact: true }).getByRole("button", { name: "Discard…" }).click();
  await page.getByRole("dialog", { name: `Discard dead letter ${id} of failing?` }).getByRole("button", { name: "Discard" }).click();
  await expect(page.getByText(`dead letter ${id} is thrown away`)).toBeVisible();
  await expect(page.getByText("No dead letters")).toBeVisible();
});

test("all that fit are discarded with their number", async ({ page, fleet, as, open }) => {
  await make(fleet, ["a", "b", "c"]);
  await as("operator");
  await open("dead-letters?agent=failing", "Dead letters");
  await page.getByRole("button", { name: "Discard…" }).click();
  const dialog = page.getByRole("dialog", { name: "Discard 3 dead letters of failing?" });
  await dialog.getByRole("button", { name: "Discard 3" }).click();
  await expect(page.getByText("3 dead letters discarded")).toBeVisible();
  expect((await fleet.get("/dead-letters")).matching).toBe(0);
});

test("a set is replayed at a rate, is watched, and is cancelled", async ({ page, fleet, as, open }) => {
  await make(fleet, ["a", "b", "c"]);
  await as("operator");
  await open("dead-letters?agent=failing", "Dead letters");
  await page.getByRole("button", { name: "Replay…", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Replay 3 dead letters of failing?" });
  await dialog.getByLabel("Replays a second").fill("0");
  await dialog.getByRole("button", { name: "Replay 3" }).click();
  await expect(dialog).toContainText("the rate is a number of replays a second");
  await dialog.getByLabel("Replays a second").fill("0.05");
  await dialog.getByLabel("Stop after so many failures").fill("0");
  await dialog.getByRole("button", { name: "Replay 3" }).click();
  const sets = page.getByRole("region", { name: "Replays" });
  await expect(sets.getByRole("progressbar").first()).toHaveAttribute("aria-label", /1 of 3: 0 succeeded, 1 failed/);
  await sets.getByRole("button", { name: "Cancel…" }).click();
  await page.getByRole("dialog", { name: "Begin no more of the 2 dead letters that are left?" }).getByRole("button", { name: "Cancel the rest" }).click();
  await expect(sets.getByRole("listitem").first()).toContainText("cancelled");
});

test("several are ticked and replayed", async ({ page, fleet, as, open }) => {
  await make(fleet, ["a", "b"]);
  await as("operator");
  await open("dead-letters", "Dead letters");
  await expect(rows(page)).toHaveCount(2);
  for (const key of ["j", "x", "j", "x"]) await page.keyboard.press(key);
  await expect(page.getByRole("group", { name: "What is done to many" })).toContainText("2 dead letters ticked");
  await page.getByRole("button", { name: "Replay…", exact: true }).click();
  await page.getByRole("dialog", { name: "Replay 2 dead letters?" }).getByRole("button", { name: "Replay 2" }).click();
  await expect(page.getByText("2 dead letters replayed")).toBeVisible();
});

test("all that fit wait for an agent", async ({ page, fleet, as, open }) => {
  await make(fleet, ["a", "b"]);
  await as("operator");
  await open("dead-letters?agent=failing", "Dead letters");
  await page.getByRole("button", { name: "Replay when healthy…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Let 2 wait" }).click();
  await expect(page.getByText("2 dead letters wait for failing")).toBeVisible();
  await expect(rows(page).filter({ hasText: "waits for failing" })).toHaveCount(2);
});

test("what was done by somebody else meanwhile is told with what to do", async ({ page, fleet, as, open, expected }) => {
  expected.push(/404/);
  const [id] = await make(fleet, ["x"]);
  await as("operator");
  await open(`dead-letters/${id}`, "Dead letters");
  const replay = page.getByRole("button", { name: "Replay", exact: true });
  await expect(replay).toBeVisible();
  await page.keyboard.press("p");
  await fleet.post(`/dead-letters/${id}/discard`);
  await replay.click();
  await expect(page.getByText(`Dead letter ${id} was not replayed`)).toBeVisible();
  await expect(page.getByText(`there is no dead letter ${id}`).first()).toBeVisible();
});

test("a nasty payload is text", async ({ page, fleet, as, open }) => {
  const [id] = await make(fleet, ["<img src=x onerror=alert(1)> \u001b[31mred \u202eevil <script>document.title='owned'</script>"]);
  await as("operator");
  await open(`dead-letters/${id}`, "Dead letters");
  const payload = page.getByRole("region", { name: `Payload of dead letter ${id}` });
  await expect(payload).toContainText("<img src=x onerror=alert(1)> ␛[31mred ‹U+202E›evil <script>");
  await page.getByRole("button", { name: "Edit and replay…" }).click();
  await expect(page.getByRole("dialog").getByLabel("Payload")).toHaveValue(/<img src=x/);
  await page.keyboard.press("Escape");
  expect(await page.title()).toContain("Dead letter");
  await expect(page.locator("main script, main img, dialog img")).toHaveCount(0);
});

test("without a login there are no dead letters", async ({ page, open }) => {
  await open("dead-letters", "Dead letters");
  await expect(page.getByText("Log in to see this")).toBeVisible();
  await expect(page.getByText("werkpilot login", { exact: true })).toBeVisible();
});

test("a dead letter is shown beside the list; it fits every screen, and is accessible", async ({ page, fleet, as, open, fits, shot }) => {
  const [id] = await make(fleet, ["{\"invoice\": 7, \"to\": \"ada\"}", "{\"invoice\": 8}"]);
  await as("operator");
  await open("dead-letters", "Dead letters");
  await expect(rows(page)).toHaveCount(2);
  await fits("dead-letters");
  await open(`dead-letters/${id}`, "Dead letters");
  await expect(page.getByRole("region", { name: /Last lines/ })).toBeVisible();
  await shot("dead-letters", { readme: true });
  await fits("dead-letter");
});
