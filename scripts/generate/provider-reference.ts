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
    'A runtime opens the base model on the first provider of its list on which a session really opens. Its AdapterRuntime and',
    '`adaptlet status` name that provider; a log line says why others were skipped. The list is `executionProviders`. When that is',
    'empty, this table gives the list for the devices of the pod (`deviceResources`), followed by the CPU. They are extended',
    'resources and DeviceClasses; the chart fills in those of `resources.limits` and `deviceClasses`. With `requireProvider` the CPU is refused unless it is named: the runtime',
    'does not start and reports PROVIDER_NOT_AVAILABLE. Generated from src/runtime/config/device-providers.ts.',
    '',
    ...table(['resource or DeviceClass', 'device', 'providers'], rows),
    '',
    'The providers depend on the build of ONNX Runtime. The one of the npm package has CPU on every system, and CUDA and TensorRT',
    'on linux/x64 after their own download. `onnxRuntimeLibrary` names another build, such as one with OpenVINO, QNN or MIGraphX.',
    'ONNX Runtime lists a provider also when its libraries or its device are missing, so only an opened session proves it. Devices',
    'of other vendors (Hailo, Rockchip, Coral, DeepX) have no provider here.',
    '',
    'Tested: the choice, its order, the refusals and the CPU. No other provider was ever run.',
    '',
  ].join('\n');
  return new Map([['docs/reference/execution-providers.md', text]]);
};
