/** MicroTime of the API: RFC 3339 in UTC with six digits of the second, from milliseconds since the epoch. */
export const microTime = (ms: number): string => new Date(ms).toISOString().replace(/Z$/, '000Z');
