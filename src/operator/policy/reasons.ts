/** Reasons of the events of an AdapterPolicy, with what each one means. */
export const eventReasons = {
  InvalidSpec: 'The spec is not valid; what was valid last stays in force.',
} as const;
export type EventReason = keyof typeof eventReasons;
