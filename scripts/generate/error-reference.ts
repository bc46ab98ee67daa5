import { catalogue } from '../../src/errors/catalogue.ts';
import { code, table } from './table.ts';

/** docs/reference/errors.md: the error catalogue. */
export const errorReference = async (): Promise<Map<string, string>> => {
  const rows = Object.entries(catalogue)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, e]) => [code(name), e.summary, e.advice, e.grpc, e.retry]);
  const text = [
    '# Errors',
    '',
    'Every error that Adaptlet answers with has a code of this list: in the gRPC trailer `x-adaptlet-error`,',
    'in lower case in `error.code` of the OpenAI API, in logs and in `adaptlet status`. What to do is in the message of an error;',
    'where it depends on the cause, the message says more than this list. Generated from src/errors.',
    '',
    ...table(['code', 'what it means', 'what to do', 'gRPC status', 'retry'], rows),
    '',
  ].join('\n');
  return new Map([['docs/reference/errors.md', text]]);
};
