// The places of the console: path, name, and the page, loaded when it is first wanted.
import type { ComponentType } from "preact";
import type { IconName } from "./components/icon";

export interface Place {
  pattern: string;
  /** For the title; `:id` is filled in. */
  name: string;
  /** In the rail. */
  icon?: IconName;
  /** Which entry of the rail is lit. */
  under: string;
  load: () => Promise<{ default: ComponentType<Record<string, string>> }>;
}

/** Pages take the parts of their path as properties. */
type Page = { default: ComponentType<never> };
const page = (load: () => Promise<Page>) => load as unknown as Place["load"];

export const PLACES: readonly Place[] = [
  { pattern: "/", name: "Overview", icon: "overview", under: "/", load: page(() => import("./pages/overview")) },
  { pattern: "/apps", name: "Applications", icon: "applications", under: "/apps", load: page(() => import("./pages/applications")) },
  { pattern: "/apps/:app", name: ":app", under: "/apps", load: page(() => import("./pages/application")) },
  { pattern: "/apps/:app/diff/:from/:to", name: ":app, release :from and :to", under: "/apps", load: page(() => import("./pages/diff")) },
  { pattern: "/apps/:app/logs/:service", name: "Log of :service", under: "/apps", load: page(() => import("./pages/logs")) },
  { pattern: "/deploys", name: "Deploys", icon: "deploys", under: "/deploys", load: page(() => import("./pages/deploys")) },
  { pattern: "/deploys/:id", name: "Deploy :id", under: "/deploys", load: page(() => import("./pages/deploy")) },
  { pattern: "/hosts", name: "Hosts", icon: "hosts", under: "/hosts", load: page(() => import("./pages/hosts")) },
  { pattern: "/hosts/:host", name: "Host :host", under: "/hosts", load: page(() => import("./pages/host")) },
  { pattern: "/images", name: "Images", icon: "images", under: "/images", load: page(() => import("./pages/images")) },
  { pattern: "/traffic", name: "Traffic", icon: "traffic", under: "/traffic", load: page(() => import("./pages/traffic")) },
  { pattern: "/activity", name: "Activity", icon: "activity", under: "/activity", load: page(() => import("./pages/activity")) },
  { pattern: "/tokens", name: "Tokens and roles", icon: "tokens", under: "/tokens", load: page(() => import("./pages/tokens")) },
];
