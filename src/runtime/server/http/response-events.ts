import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Exchange } from '../exchange.ts';
import type { OutputEvent, ResponseOutput } from './response-output.ts';
import { type ResponseHead, type ResponseState, responseObject, statusOf } from './response-shapes.ts';
import type { SseLine } from './sse.ts';

/**
 * The events of a streamed response, numbered from 0, as OpenAI has them. `keep`: called once the output is whole. Its end, good or bad, ends the exchange. The last one is
 * `response.completed`, `response.incomplete` or `response.failed`.
 */
export async function* responseEvents(
  exchange: Exchange,
  head: ResponseHead,
  {
    output,
    method,
    keep,
  }: { readonly output: ResponseOutput; readonly method: string; readonly keep: () => void },
): AsyncGenerator<SseLine, void> {
  let number = 0;
  const line = ({ type, ...more }: OutputEvent): SseLine => ({
    event: type,
    data: JSON.stringify({ type, sequence_number: number++, ...more }),
  });
  const whole = (type: string, state: ResponseState): SseLine =>
    line({ type, response: responseObject(head, state) });
  let ended = false;
  try {
    yield whole('response.created', { status: 'in_progress', output: [] });
    yield whole('response.in_progress', { status: 'in_progress', output: [] });
    for await (const one of exchange.events()) {
      if (one.kind === 'token') {
        for (const event of output.push(one)) yield line(event);
        continue;
      }
      for (const event of output.end(one.finishReason)) yield line(event);
      const status = statusOf(one.finishReason);
      const last = whole(`response.${status}`, {
        status,
        output: output.items,
        counts: exchange.counts,
        thoughtTokens: output.thoughtTokens,
      });
      keep();
      // Before it is sent: many clients hang up as soon as they read it, and that is no cancellation.
      ended = true;
      exchange.end();
      yield last;
    }
  } catch (error) {
    ended = true;
    yield whole('response.failed', { status: 'failed', output: [], error: exchange.fail(error) });
  } finally {
    if (!ended) exchange.fail(new AdaptletError('REQUEST_CANCELLED', `the caller of ${method} went away`));
  }
}
