import { z } from 'zod';
import { honoured } from './field.ts';

/** `/v1/feedback`, and each item of a list. */
export const feedbackFields = { id: honoured(z.string()), reward: honoured(z.number()) };
