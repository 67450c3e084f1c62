// Line icons of 16 px, drawn with the colour of the text. They always stand beside words or have a title.
import { html } from "../lib/html.js";

const PATHS = {
  overview: "M2.5 2.5h4.5v5h-4.5zM9 2.5h4.5v3h-4.5zM9 8.5h4.5v5h-4.5zM2.5 10.5h4.5v3h-4.5z",
  agents: "M3 3h10v3.5h-10zM3 9.5h10v3.5h-10zM5.2 4.75h.1M5.2 11.25h.1",
  graph: "M4 3.5a1.5 1.5 0 1 0 0 .01M12 8a1.5 1.5 0 1 0 0 .01M4 12.5a1.5 1.5 0 1 0 0 .01M5.2 4.3l5.3 3M5.2 11.7l5.3-3",
  schedule: "M8 2.2a5.8 5.8 0 1 0 .01 0zM8 5v3.2l2.2 1.5",
  queue: "M2.5 4h11M2.5 8h8M2.5 12h5",
  "dead-letters": "M2.5 4h11v8h-11zM2.8 4.3l5.2 4.4 5.2-4.4",
  bus: "M2.5 5.5h9.5M9.5 3l2.5 2.5-2.5 2.5M13.5 10.5h-9.5M6.5 8l-2.5 2.5 2.5 2.5",
  memory: "M4.5 4.5h7v7h-7zM6.5 2.5v2M9.5 2.5v2M6.5 11.5v2M9.5 11.5v2M2.5 6.5h2M2.5 9.5h2M11.5 6.5h2M11.5 9.5h2",
  events: "M2.5 8.5h2.5l2-5 2.5 9 1.7-4h2.3",
  audit: "M8 2l5 1.8v4c0 3-2.2 5.2-5 6.2-2.8-1-5-3.2-5-6.2v-4zM5.8 8l1.6 1.6 3-3.2",
  settings: "M2.5 4.5h6M11.5 4.5h2M10 3v3M2.5 11.5h2M7.5 11.5h6M6 10v3",
  reports: "M4 2.5h5.5l2.5 2.5v8.5h-8zM6 8h4M6 10.5h4",
  search: "M7 2.8a4.2 4.2 0 1 0 .01 0zM10.2 10.2l3.3 3.3",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  close: "M4 4l8 8M12 4l-8 8",
  more: "M3.5 8h.1M8 8h.1M12.5 8h.1",
  play: "M5 3.2v9.6l7.5-4.8z",
  stop: "M4 4h8v8h-8z",
  restart: "M13 8a5 5 0 1 1-1.6-3.7M11.7 2v2.6h-2.6",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  check: "M3.5 8.5l3 3 6-7",
  warn: "M8 2.5l6 10.5h-12zM8 6.5v3M8 11.3v.1",
  right: "M6 3.5l4.5 4.5-4.5 4.5",
  down: "M3.5 6l4.5 4.5 4.5-4.5",
  copy: "M5.5 5.5h7.5v7.5h-7.5zM3 10.5v-7.5h7.5",
  sun: "M8 5.2a2.8 2.8 0 1 0 .01 0zM8 1.8v1.4M8 12.8v1.4M1.8 8h1.4M12.8 8h1.4M3.6 3.6l1 1M11.4 11.4l1 1M12.4 3.6l-1 1M4.6 11.4l-1 1",
  moon: "M12.8 9.5a5.3 5.3 0 0 1-6.3-6.3 5.3 5.3 0 1 0 6.3 6.3z",
  auto: "M8 2.3a5.7 5.7 0 1 0 .01 0zM8 2.3v11.4M10.5 3.2v9.6",
  help: "M8 2.2a5.8 5.8 0 1 0 .01 0zM6.3 6.3a1.7 1.7 0 1 1 2.5 1.6c-.6.3-.8.7-.8 1.3M8 11.3v.1",
  user: "M8 2.8a2.5 2.5 0 1 0 .01 0zM3 13.5c.5-2.7 2.5-4 5-4s4.5 1.3 5 4",
  external: "M6.5 3.5h-3v9h9v-3M9.5 3h3.5v3.5M13 3l-5.5 5.5",
};

export const Icon = ({ of, size = 16 }) =>
  html`<svg class="icon" width=${size} height=${size} viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor"
    stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"><path d=${PATHS[of] ?? ""} /></svg>`;
