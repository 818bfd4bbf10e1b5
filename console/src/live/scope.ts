// What everything is limited to, from the URL: `?app=shop&service=web&host=web1`. Any of them may be missing.
import { computed } from "@preact/signals";
import { query } from "../router";
import type { Scope } from "../words/scope";

export const scope = computed<Scope>(() => {
  const get = (name: string) => query.value.get(name) || undefined;
  const app = get("app");
  // A service is one of an application: alone it says nothing.
  return { app, service: app === undefined ? undefined : get("service"), host: get("host") };
});
