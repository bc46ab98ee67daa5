import { z } from 'zod';

/** Who may read /metrics of a program: where its health is. */
export const metricsSettings = {
  metricsAccess: z
    .enum(['token', 'everybody'])
    .default('token')
    .describe(
      'Who may read /metrics where health is. token: this machine, and who sends the token of metrics-token-file as Authorization: Bearer; they name what all namespaces have. everybody: who reaches the port.',
    ),
  metricsTokenFile: z
    .string()
    .optional()
    .describe(
      'File with one word of at least 16 characters, which opens /metrics. Read anew for each answer. Without it nobody but this machine gets them, unless metrics-access says everybody.',
    ),
};
