import { describe, expect, it } from 'vitest';
import { deviceProviders, providersFor } from './device-providers.ts';

describe('the execution providers for the devices of a pod', () => {
  it('are those of the table, best first, each once', () => {
    expect(providersFor(['nvidia.com/gpu', 'nvidia.com/mig-1g.5gb', 'gpu.intel.com/xe'])).toEqual([
      'TensorrtExecutionProvider',
      'CUDAExecutionProvider',
      'OpenVINOExecutionProvider?device_type=GPU',
    ]);
    expect(providersFor(['huawei.com/Ascend310P'])).toEqual(['CANNExecutionProvider']);
  });

  it('are found by the DeviceClass of a claim, also of one that Kubernetes makes for a resource', () => {
    expect(providersFor(['gpu.amd.com'])).toEqual(['MIGraphXExecutionProvider']);
    expect(providersFor(['deviceclass.resource.kubernetes.io/gpu.nvidia.com'])).toEqual(
      providersFor(['nvidia.com/gpu']),
    );
  });

  it('are none for what the table lacks', () => {
    expect(providersFor(['cpu', 'memory', 'squat.ai/video', 'nvidia.com/gpus'])).toEqual([]);
  });

  it.each([
    [
      [
        'nvidia.com/gpu',
        'nvidia.com/gpu.shared',
        'nvidia.com/mig-3g.20gb',
        'gpu.nvidia.com',
        'mig.nvidia.com',
      ],
      'TensorrtExecutionProvider',
      'CUDAExecutionProvider',
    ],
    [['amd.com/gpu', 'gpu.amd.com'], 'MIGraphXExecutionProvider'],
    [
      ['gpu.intel.com/i915', 'gpu.intel.com/xe', 'gpu.intel.com'],
      'OpenVINOExecutionProvider?device_type=GPU',
    ],
    [['npu.intel.com/accel'], 'OpenVINOExecutionProvider?device_type=NPU'],
    [['huawei.com/Ascend310', 'huawei.com/Ascend910'], 'CANNExecutionProvider'],
  ] as [string[], ...string[]][])('of %j are %s %s', (resources, ...providers) => {
    for (const resource of resources) expect(providersFor([resource])).toEqual(providers);
  });

  it('come from a table that names each resource once', () => {
    const names = deviceProviders.map(({ resource }) => resource);
    expect(new Set(names).size).toBe(names.length);
  });
});
