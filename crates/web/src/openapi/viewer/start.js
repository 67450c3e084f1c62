// Shows the document of this server. A session of the dashboard is used as it is: its changes need the header token.
async function withSession(request) {
  const reads = ["GET", "HEAD"].includes((request.method || "GET").toUpperCase());
  const own = new URL(request.url, location.href).origin === location.origin;
  if (reads || !own || request.headers.Authorization) return request;
  const session = await fetch("/api/v1/session").then((answer) => answer.json(), () => null);
  if (session?.csrf) request.headers["Werkpilot-Csrf"] = session.csrf;
  return request;
}

window.SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  docExpansion: "none",
  filter: true,
  validatorUrl: null,
  requestInterceptor: withSession,
});
