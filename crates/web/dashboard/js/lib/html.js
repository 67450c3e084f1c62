// What every module needs to make elements: htm over Preact, hooks and signals, in one import.
import { Component, Fragment, h, render } from "preact";
import htm from "htm";

export const html = htm.bind(h);
export { Component, Fragment, h, render };
export { useCallback, useErrorBoundary, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
export { batch, computed, effect, signal, untracked, useComputed, useSignal, useSignalEffect } from "@preact/signals";
