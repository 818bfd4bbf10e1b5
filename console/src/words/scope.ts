// What a page is limited to. Pure.

export interface Scope {
  app: string | undefined;
  service: string | undefined;
  host: string | undefined;
}

export const EVERYTHING: Scope = { app: undefined, service: undefined, host: undefined };

/** Whether something is in it; what says nothing about a part of the scope is not left out by that part. */
export function isInScope(scope: Scope, thing: { app?: string; service?: string; host?: string }): boolean {
  const fits = (wanted: string | undefined, is: string | undefined) => wanted === undefined || is === undefined || is === wanted;
  return fits(scope.app, thing.app) && fits(scope.service, thing.service) && fits(scope.host, thing.host);
}

/** `shop web on web1`, for empty states; nothing for everything. */
export function scopeText({ app, service, host }: Scope): string {
  const what = [app, service].filter(Boolean).join(" ");
  return [what, host === undefined ? "" : `on ${host}`].filter(Boolean).join(" ");
}
