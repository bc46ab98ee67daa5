/** Reasons of the events of an AdapterPolicy, with what each one means. */
export const eventReasons = {
  InvalidSpec: 'The spec is not valid; what was valid last stays in force.',
  SecretsNotRead: 'It allows keys out of Secrets, and the operator may not read those of the namespace.',
  LimitReached:
    'Runtimes refused requests of a namespace by a limit of the policy. Told at once, then every five minutes while it goes on.',
} as const;
export type EventReason = keyof typeof eventReasons;

/** Reasons of the events of a Secret with keys of callers. */
export const keyEventReasons = {
  KeysNotTaken: 'Keys in it do not count, or not with all that it asks for.',
} as const;
export type KeyEventReason = keyof typeof keyEventReasons;
