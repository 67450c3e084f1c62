const { test, expect } = require("../fixture.js");

const ANSWERS = `[[agent]]
name = "answers"
department = "data"
command = ["sh", "-c", "cat"]
subject = "questions.>"
`;

test.beforeEach(async ({ fleet }) => {
  fleet.write("answers.toml", ANSWERS);
  await expect(async () => fleet.get("/agents/answers")).toPass();
});

test("the figures of the bus are there without a login", async ({ page, open }) => {
  await open("bus", "Bus");
  const figures = page.getByRole("list", { name: "The bus at a glance" });
  await expect(figures.getByRole("listitem").filter({ hasText: "Requests a second" })).toBeVisible();
  await expect(page.getByText(/nats:\/\/127/)).toBeVisible();
  await page.getByRole("tab", { name: "Console" }).click();
  await expect(page.getByText("Log in to see this")).toBeVisible();
});

test("a question is asked, and the answer is shown", async ({ page, as, open }) => {
  await as("operator");
  await open("bus?tab=console", "Bus");
  await page.getByLabel("Agent or subject").fill("questions.total");
  await page.getByLabel("Payload").fill("{\"month\": 11}");
  await page.keyboard.press("Control+Enter");
  const answer = page.getByRole("article", { name: "request questions.total" });
  await expect(answer).toContainText("answered");
  await expect(answer.getByRole("region", { name: "Answer of questions.total" })).toContainText("\"month\": 11");
  await expect(page).toHaveURL(/to=questions.total/);
});

test("a question that nobody answers is told with what to do, and is among the errors", async ({ page, as, open, expected }) => {
  expected.push(/50[0-9]/);
  await as("operator");
  await open("bus?tab=console", "Bus");
  await page.getByLabel("Agent or subject").fill("rpc.>");
  await page.getByRole("button", { name: "Send request" }).click();
  await expect(page.getByRole("alert")).toContainText("without wildcards");
  await page.getByLabel("Agent or subject").fill("web");
  await page.getByLabel("Seconds to wait").fill("1");
  await page.getByRole("button", { name: "Send request" }).click();
  const answer = page.getByRole("article", { name: "request web" });
  await expect(answer).toContainText("failed");
  await expect(answer.getByRole("alert")).toBeVisible();
  await page.getByRole("tab", { name: "Traffic" }).click();
  await expect(page.getByRole("table", { name: "Responders" }).getByRole("row").filter({ hasText: "web" })).toBeVisible();
  await expect(page.getByRole("region", { name: "Recent errors" }).getByRole("listitem").first()).toContainText("web");
});

test("a message is published", async ({ page, as, open, fleet }) => {
  await as("operator");
  await open("bus?tab=console", "Bus");
  await page.getByLabel("Publish a message").check();
  await page.getByLabel("Subject").fill("questions.said");
  await page.getByLabel("Payload").fill("hello");
  await page.getByLabel("Headers").fill("no header");
  await page.getByRole("button", { name: "Publish" }).click();
  await expect(page.getByRole("alert")).toContainText("is none");
  await page.getByLabel("Headers").fill("Color: red");
  await page.getByRole("button", { name: "Publish" }).click();
  await expect(page.getByRole("article", { name: "publish questions.said" })).toContainText("The bus took it");
  await expect(async () => {
    const { executions } = await fleet.get("/executions?agent=answers&trigger=subject");
    expect(executions.some((one) => one.trigger.subject === "questions.said")).toBe(true);
  }).toPass();
});

test("micro-services say what they offer", async ({ page, as, open }) => {
  await as("viewer");
  await open("bus?tab=services", "Bus");
  await expect(page.getByText("No micro-services")).toBeVisible();
  await page.route("**/api/v1/bus/services", (route) => route.fulfill({ json: { services: [{ agent: "web", name: "shop", id: "x", version: "1.2.0", description: "sums <b>", endpoints: [{ name: "total", subject: "rpc.web.total", num_requests: 7, num_errors: 1, average_processing_time: 2_500_000 }] }] } }));
  await page.reload();
  const service = page.getByRole("region", { name: "Service shop" });
  await expect(service).toContainText("sums <b>");
  await expect(service.getByRole("row").nth(1)).toContainText("2.5 ms");
});

test("the bus fits every screen, and is accessible", async ({ page, as, open, fits, fleet }) => {
  await fleet.post("/bus/request", { subject: "questions.total", payload: "7" });
  await as("operator");
  await open("bus", "Bus");
  await expect(page.getByRole("table", { name: "Responders" }).or(page.getByText("Nobody was asked yet"))).toBeVisible();
  await fits("bus");
  await open("bus?tab=console", "Bus");
  await page.getByLabel("Agent or subject").fill("questions.total");
  await page.getByRole("button", { name: "Send request" }).click();
  await expect(page.getByRole("article")).toContainText("answered");
  await fits("bus-console");
});
