/** Reasons of the events of an AdapterPolicy, with what each one means. */
export const eventReasons = {
  InvalidSpec: 'The spec is not valid; what was valid last stays in force.',
  LimitReached:
    'Runtimes refused requests of a namespace by a limit of the policy. Told at once, then every five minutes while it goes on.',
} as const;
export type EventReason = keyof typeof eventReasons;
