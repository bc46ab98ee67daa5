import { bad, manifest, type Row } from './manifests.ts';

/** An AdapterRuntime is written by the operator alone. */
export const runtimeRows: readonly Row[] = [
  bad(
    'an AdapterRuntime with a field',
    manifest('AdapterRuntime', { colour: 'red' }),
    'unknown field "spec.colour"',
  ),
  bad(
    'an AdapterRuntime that is cordoned by a word',
    manifest('AdapterRuntime', { cordoned: 'yes' }),
    'spec.cordoned',
  ),
  bad('an AdapterRuntime without a spec', manifest('AdapterRuntime', undefined), 'spec: Required value'),
];
