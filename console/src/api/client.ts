// One fetch for the whole console: JSON in and out, one shape of error, the cookie goes along by itself.
import type { ApiErrorBody, ErrorCode } from "./types";

/** What a request that failed says: what was tried, why, and what to do. */
export class ApiFailure extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly hint: string | undefined,
    /** `GET /api/v1/apps`. */
    readonly tried: string,
  ) {
    super(message);
    this.name = "ApiFailure";
  }
}

type Listener = () => void;
let onUnauthenticated: Listener = () => {};

/** Calls `listener` whenever the server says that nobody is logged in. */
export function whenLoggedOut(listener: Listener): void {
  onUnauthenticated = listener;
}

type Method = "GET" | "POST" | "DELETE";

/** Sends a request below `/api/v1`; throws an `ApiFailure`, or the signal's `AbortError`. */
export async function call<T>(method: Method, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const tried = `${method} /api/v1${path}`;
  const init: RequestInit = { method, credentials: "same-origin", headers: { accept: "application/json" } };
  if (signal) init.signal = signal;
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { ...init.headers, "content-type": "application/json" };
  }
  let response: Response;
  try {
    response = await send(`/api/v1${path}`, init, method === "GET");
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiFailure("unavailable", "the server does not answer", "is `wharf up` still running?", tried);
  }
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  if (response.ok) return (text === "" ? undefined : JSON.parse(text)) as T;
  const failure = toFailure(response.status, text, tried);
  if (failure.code === "unauthenticated" && path !== "/session") onUnauthenticated();
  throw failure;
}

const RETRY_AFTER_MS = 300;

/** A browser gives up on what is in flight when an interface of its machine comes or goes, as happens with each container that
 *  starts there. What only reads is asked once more. */
async function send(url: string, init: RequestInit, mayRepeat: boolean): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (!mayRepeat || init.signal?.aborted) throw error;
    await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER_MS));
    return fetch(url, init);
  }
}

/** Reads an error answer; one that is not ours (a proxy's page) is told by its status. */
export function toFailure(status: number, text: string, tried: string): ApiFailure {
  try {
    const { error } = JSON.parse(text) as ApiErrorBody;
    return new ApiFailure(error.code, error.message, error.hint, tried);
  } catch {
    return new ApiFailure("internal", `the answer was HTTP ${status}`, undefined, tried);
  }
}

export const get = <T>(path: string, signal?: AbortSignal) => call<T>("GET", path, undefined, signal);
export const post = <T>(path: string, body: unknown = {}) => call<T>("POST", path, body);
export const remove = (path: string) => call<void>("DELETE", path);
