/** Reasons of the events of AdapterRollouts about gateways, with what each one means. */
export const eventReasons = {
  NoGatewayRewrite: 'The rollout asks for an InferenceModelRewrite and has none; the note says why.',
} as const;
export type EventReason = keyof typeof eventReasons;
