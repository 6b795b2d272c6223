"""The configuration of a node's parts, and their command lines, as text."""

import textwrap
from pathlib import Path
from typing import Final

from penstock.testing.kubernetes.binaries import CNI_PLUGINS
from penstock.testing.kubernetes.namespaces import INSIDE, Place

NODE_NAME: Final = "node1"
PAUSE_IMAGE: Final = "docker.io/local/pause:1"
CONTAINERD_SOCKET: Final = INSIDE / "containerd.sock"
IMAGE_STORE: Final = INSIDE / "kept" / "containerd"
AUDIT_LOG: Final = "audit.log"
API_PORT: Final = 18443
_ETCD: Final = "http://127.0.0.1:2379"
_ETCD_PEERS: Final = "http://127.0.0.1:2380"


def api_address(place: Place) -> str:
    """The API server, for everybody on this machine."""
    return f"https://{place.address}:{API_PORT}"


def configuration(place: Place) -> dict[str, str]:
    """File names below the node's folder, and what is in them."""
    return {
        "cni/10-pods.conflist": _cni(place),
        "containerd.toml": _containerd(),
        "audit.yaml": _audit(),
        "kubelet.yaml": _kubelet(place),
        "Corefile": _corefile(place),
    }


def kubeconfig(place: Place, certificate: str, token: str) -> str:
    """With all rights."""
    return _text(
        f"""
        apiVersion: v1
        kind: Config
        clusters: [{{name: penstock, cluster: {{server: "{api_address(place)}", {certificate}}}}}]
        users: [{{name: admin, user: {{token: {token}}}}}]
        contexts: [{{name: penstock, context: {{cluster: penstock, user: admin, namespace: default}}}}]
        current-context: penstock
        """
    )


def commands(place: Place, folder: Path) -> dict[str, list[str]]:
    """The command line of each part, in the order in which they start."""
    config = f"--kubeconfig={INSIDE}/kubeconfig"
    return {
        "etcd": [
            "etcd",
            "--data-dir=/run/fast/etcd",  # In memory: nothing of it has to outlive the node.
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            f"--listen-peer-urls={_ETCD_PEERS}",
            f"--initial-advertise-peer-urls={_ETCD_PEERS}",
            f"--initial-cluster=default={_ETCD_PEERS}",
        ],
        "containerd": ["containerd", f"--config={INSIDE}/containerd.toml"],
        "kube-apiserver": [str(folder / "kube-apiserver"), *_api_server(place)],
        "kube-controller-manager": [
            str(folder / "kube-controller-manager"),
            config,
            f"--service-account-private-key-file={INSIDE}/service-accounts.key",
            f"--root-ca-file={INSIDE}/certificates/apiserver.crt",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--cert-dir=/run/fast/controllers",
            # A lost node is noticed in seconds.
            "--node-monitor-period=1s",
            "--node-monitor-grace-period=8s",
        ],
        "kube-scheduler": [
            str(folder / "kube-scheduler"),
            config,
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--cert-dir=/run/fast/scheduler",
        ],
        "kubelet": [
            str(folder / "kubelet"),
            config,
            f"--config={INSIDE}/kubelet.yaml",
            f"--root-dir={INSIDE}/kubelet",
            "--cert-dir=/run/fast/kubelet",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={place.address}",
        ],
        "kube-proxy": [
            str(folder / "kube-proxy"),
            config,
            f"--bind-address={place.address}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={place.pods}",
            "--conntrack-max-per-core=0",  # A setting of the whole machine: left as it is.
            f"--hostname-override={NODE_NAME}",
        ],
        "coredns": [str(folder / "coredns"), "-conf", f"{INSIDE}/Corefile"],
    }


def dns_manifests(place: Place) -> list[dict[str, object]]:
    """A Service without a selector gives the node's CoreDNS the cluster's DNS address."""
    ports = [{"name": f"dns-{name}", "port": 53, "protocol": name.upper()} for name in ("udp", "tcp")]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {"clusterIP": place.dns, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kube-dns-1",
                "namespace": "kube-system",
                "labels": {"kubernetes.io/service-name": "kube-dns"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [place.address]}],
            "ports": ports,
        },
    ]


def _api_server(place: Place) -> list[str]:
    return [
        f"--etcd-servers={_ETCD}",
        f"--bind-address={place.address}",
        f"--advertise-address={place.address}",
        f"--secure-port={API_PORT}",
        f"--cert-dir={INSIDE}/certificates",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={INSIDE}/service-accounts.pub",
        f"--service-account-signing-key-file={INSIDE}/service-accounts.key",
        f"--token-auth-file={INSIDE}/tokens.csv",
        "--authorization-mode=Node,RBAC",
        f"--service-cluster-ip-range={place.services}",
        "--allow-privileged=true",
        f"--audit-policy-file={INSIDE}/audit.yaml",
        f"--audit-log-path={INSIDE}/{AUDIT_LOG}",
        "--kubelet-preferred-address-types=InternalIP",
        # Pods that were told so leave a lost node at once.
        "--default-not-ready-toleration-seconds=30",
        "--default-unreachable-toleration-seconds=30",
    ]


def _cni(place: Place) -> str:
    # Point to point, not a bridge: what pods say to each other passes through the node's tables too, so that Services
    # work without any further kernel module.
    return _text(
        f"""
        {{"cniVersion": "0.4.0", "name": "pods", "plugins": [
          {{"type": "ptp", "ipMasq": false,
            "ipam": {{"type": "host-local", "dataDir": "/run/fast/addresses", "subnet": "{place.pods}",
                      "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
          {{"type": "portmap", "capabilities": {{"portMappings": true}}}}]}}
        """
    )


def _containerd() -> str:
    return _text(
        f"""
        version = 2
        root = "{IMAGE_STORE}"
        state = "/run/containerd"
        [grpc]
          address = "{CONTAINERD_SOCKET}"
        [plugins."io.containerd.internal.v1.opt"]
          path = "/run/fast/opt"
        [plugins."io.containerd.grpc.v1.cri"]
          sandbox_image = "{PAUSE_IMAGE}"
          # Where root may not lower oom_score_adj, containers shall start all the same.
          restrict_oom_score_adj = true
          [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
            runtime_type = "io.containerd.runc.v2"
          [plugins."io.containerd.grpc.v1.cri".cni]
            bin_dir = "{CNI_PLUGINS}"
            conf_dir = "{INSIDE}/cni"
        """
    )


def _kubelet(place: Place) -> str:
    return _text(
        f"""
        apiVersion: kubelet.config.k8s.io/v1beta1
        kind: KubeletConfiguration
        address: {place.address}
        healthzBindAddress: 127.0.0.1
        authentication: {{anonymous: {{enabled: true}}, webhook: {{enabled: false}}}}
        authorization: {{mode: AlwaysAllow}}
        failCgroupV1: false
        cgroupDriver: cgroupfs
        cgroupRoot: /{place.cgroup}
        failSwapOn: false
        clusterDNS: ["{place.dns}"]
        clusterDomain: cluster.local
        containerRuntimeEndpoint: unix://{CONTAINERD_SOCKET}
        nodeStatusUpdateFrequency: 2s
        nodeLeaseDurationSeconds: 8
        # Containers that are killed again and again are restarted after a second, not after minutes.
        crashLoopBackOff: {{maxContainerRestartPeriod: 1s}}
        evictionHard: {{memory.available: "100Mi", nodefs.available: "1%", imagefs.available: "1%"}}
        imageGCHighThresholdPercent: 100
        imageGCLowThresholdPercent: 99
        """
    )


def _audit() -> str:
    # Whoever is under test has a service account; the cluster's own have theirs in kube-system.
    return _text(
        """
        apiVersion: audit.k8s.io/v1
        kind: Policy
        omitStages: [RequestReceived]
        rules:
        - {level: None, userGroups: ["system:serviceaccounts:kube-system"]}
        - {level: Metadata, userGroups: ["system:serviceaccounts"]}
        - {level: None}
        """
    )


def _corefile(place: Place) -> str:
    return _text(
        f"""
        .:53 {{
          bind {place.address}
          errors
          kubernetes cluster.local in-addr.arpa {{
            kubeconfig {INSIDE}/kubeconfig penstock
            pods insecure
          }}
          cache 5
        }}
        """
    )


def _text(indented: str) -> str:
    return textwrap.dedent(indented).lstrip()
