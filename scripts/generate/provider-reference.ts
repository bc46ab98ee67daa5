import { deviceProviders } from '../../src/runtime/config/device-providers.ts';
import { code, table } from './table.ts';

/** docs/reference/execution-providers.md: which device runs on which execution provider. */
export const providerReference = async (): Promise<Map<string, string>> => {
  const rows = deviceProviders.map(({ resource, device, providers }) => [
    code(resource),
    device,
    providers.map(code).join(', then '),
  ]);
  const text = [
    '# Execution providers',
    '',
    'A runtime opens the base model on the first provider of its list on which a session really opens, and says which one in its',
    'AdapterRuntime and in `adaptlet status`; for each that falls out it logs why. The list is `executionProviders`; when that is',
    'empty, what this table says for the extended resources of the pod (`deviceResources`, which the chart fills in from',
    '`runtime.resources.limits`); then the CPU. With `requireProvider` the CPU is refused unless it is named: the runtime does',
    'not start and says PROVIDER_NOT_AVAILABLE. Generated from src/runtime/config/device-providers.ts.',
    '',
    ...table(['resource', 'device', 'providers'], rows),
    '',
    'Which of them an installation has depends on its build of ONNX Runtime: the one that comes with the npm package has CPU on',
    'every system, CUDA and TensorRT on linux/x64 after their own download. `onnxRuntimeLibrary` names another build, such as a',
    'build with OpenVINO, QNN or MIGraphX. ONNX Runtime lists a provider as available',
    'also when its libraries or its device are missing: only opening a session tells. Devices of other vendors (Hailo, Rockchip, Coral,',
    'DeepX) have no provider here.',
    '',
    'Proven here: the choice, its order, the refusals and the CPU. No other provider was run.',
    '',
  ].join('\n');
  return new Map([['docs/reference/execution-providers.md', text]]);
};
