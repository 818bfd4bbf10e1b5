// What roles may do, in words. Pure; the server decides (wharf_access::authenticate).
import type { Role } from "../api/types";

export const ROLES: readonly Role[] = ["viewer", "deployer", "admin"];

export const ROLE_WORDS: Record<Role, string> = {
  viewer: "looks at everything but secrets, and pulls images",
  deployer: "also deploys, scales, restarts, rolls back, aborts, drains hosts, and pushes images",
  admin: "also makes and removes tokens, lets hosts join, and removes hosts",
};

/** Why the server would refuse this name, or nothing. */
export function nameProblem(name: string, taken: readonly string[]): string {
  if (name === "") return "";
  if (name !== name.trim()) return "A name has no space at its ends.";
  if ([...name].length > 63) return "A name has 63 characters at most.";
  return taken.includes(name) ? `There is a token named ${name} already.` : "";
}
