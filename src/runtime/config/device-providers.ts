import type { Settings } from './settings.ts';

/**
 * Extended resources that device plugins offer to pods, DeviceClasses of dynamic resource allocation, and the execution
 * providers of ONNX Runtime that use such a device, best first. docs/reference/execution-providers.md is generated from this.
 */
export type DeviceProviders = {
  /** Name of the resource or of the DeviceClass; a `*` stands for any text. */
  readonly resource: string;
  readonly device: string;
  readonly providers: readonly string[];
};

const nvidia = ['TensorrtExecutionProvider', 'CUDAExecutionProvider'] as const;
/** Without a device type OpenVINO would run on the processor, and say nothing of the device. */
const intelGpu = ['OpenVINOExecutionProvider?device_type=GPU'] as const;
const intelNpu = ['OpenVINOExecutionProvider?device_type=NPU'] as const;

export const deviceProviders: readonly DeviceProviders[] = [
  { resource: 'nvidia.com/gpu', device: 'NVIDIA GPU, also Jetson', providers: nvidia },
  { resource: 'nvidia.com/gpu.shared', device: 'NVIDIA GPU, shared in time', providers: nvidia },
  { resource: 'nvidia.com/mig-*', device: 'Part of an NVIDIA GPU', providers: nvidia },
  { resource: 'gpu.nvidia.com', device: 'NVIDIA GPU, by a claim', providers: nvidia },
  { resource: 'mig.nvidia.com', device: 'Part of an NVIDIA GPU, by a claim', providers: nvidia },
  { resource: 'amd.com/gpu', device: 'AMD GPU', providers: ['MIGraphXExecutionProvider'] },
  { resource: 'gpu.amd.com', device: 'AMD GPU, by a claim', providers: ['MIGraphXExecutionProvider'] },
  { resource: 'gpu.intel.com/i915', device: 'Intel GPU', providers: intelGpu },
  { resource: 'gpu.intel.com/xe', device: 'Intel GPU', providers: intelGpu },
  { resource: 'gpu.intel.com', device: 'Intel GPU, by a claim', providers: intelGpu },
  { resource: 'npu.intel.com/accel', device: 'Intel NPU', providers: intelNpu },
  {
    resource: 'huawei.com/Ascend*',
    device: 'Huawei Ascend NPU',
    providers: ['CANNExecutionProvider'],
  },
];

/** A claim that Kubernetes makes for a resource of this prefix is for the DeviceClass behind it. */
const deviceClassPrefix = 'deviceclass.resource.kubernetes.io/';

const matches = (pattern: string, resource: string): boolean => {
  const [before = '', after] = pattern.split('*');
  return after === undefined ? pattern === resource : resource.startsWith(before) && resource.endsWith(after);
};

/** Providers for the devices of a pod, in the order of its resources; none for resources that the table lacks. */
export const providersFor = (resources: readonly string[]): readonly string[] => [
  ...new Set(
    resources.flatMap((resource) => {
      const name = resource.replace(deviceClassPrefix, '');
      return deviceProviders.find(({ resource: pattern }) => matches(pattern, name))?.providers ?? [];
    }),
  ),
];

/** The execution providers that the settings ask for, in order of preference: those that are named, else those for the devices. */
export const wantedProviders = ({
  executionProviders,
  deviceResources,
}: Pick<Settings, 'executionProviders' | 'deviceResources'>): readonly string[] =>
  executionProviders.length > 0 ? executionProviders : providersFor(deviceResources);
