import { expect, test } from "vitest";
import type { Change } from "../src/api/types";
import { changeState, compared, groups, shortPath, summary } from "../src/words/diff";

const change = (service: string | null, path: string, part = "image"): Change => ({ service, part, path, kind: "changed", before: "a", after: "b", is_hidden: false });

test("changes are told by service, what concerns all of them last", () => {
  const all = [change(null, "volumes.data", "volumes"), change("web", "services.web.image"), change("db", "services.db.image"), change("web", "services.web.deploy.replicas", "deploy")];
  expect(groups(all).map(({ service, changes }) => `${service} ${changes.length}`)).toEqual(["web 2", "db 1", "null 1"]);
  expect(all.map(shortPath)).toEqual(["volumes.data", "image", "image", "deploy.replicas"]);
  expect(shortPath(change("web", "services.web"))).toBe("the whole service");
  expect(summary(all)).toBe("4 changes: volumes, image, deploy");
  expect(summary([])).toContain("Nothing differs");
  expect(changeState({ ...change("web", "x"), kind: "removed" })).toEqual({ tone: "bad", word: "gone" });
});

test("a release is compared with the one that serves, older first", () => {
  expect(compared(3, [1, 2, 3, 5], 5)).toEqual([3, 5]);
  expect(compared(5, [1, 2, 3, 5], 3)).toEqual([3, 5]);
  expect(compared(5, [1, 2, 3, 5], 5)).toEqual([3, 5]);
  expect(compared(1, [1], 1)).toBeNull();
  expect(compared(2, [1, 2], null)).toEqual([1, 2]);
});
