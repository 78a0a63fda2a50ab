/**
 * Structure of a pod spec as the server of record keeps it in memory: the names and order of fields that appear when two specs are
 * compared in an error message. Data only. One line per struct; a field is `Name:kind`, with `=json` where the JSON name is not the
 * name with a small first letter. Kinds: `s` string, `i` integer, `b` boolean, `v` integer or string, `q` quantity (all with a zero
 * value), `p` pointer to one of these (null when absent), `l` list, `m` map, `T` a struct, `*T` a pointer to one, `[T` a list of
 * structs, `+T` a struct whose fields are part of this one, `o` JSON that is left out when absent.
 */
export const podLayout = `
PodSpec Volumes:[Volume InitContainers:[Container Containers:[Container EphemeralContainers:[EphemeralContainer RestartPolicy:s TerminationGracePeriodSeconds:p ActiveDeadlineSeconds:p DNSPolicy:s=dnsPolicy NodeSelector:m ServiceAccountName:s AutomountServiceAccountToken:p NodeName:s SecurityContext:*PodSecurityContext ImagePullSecrets:[LocalObjectReference Hostname:s Subdomain:s SetHostnameAsFQDN:p Affinity:*Affinity SchedulerName:s Tolerations:[Toleration HostAliases:[HostAlias PriorityClassName:s Priority:p PreemptionPolicy:p DNSConfig:*PodDNSConfig=dnsConfig ReadinessGates:[PodReadinessGate RuntimeClassName:p Overhead:m EnableServiceLinks:p TopologySpreadConstraints:[TopologySpreadConstraint OS:*PodOS=os SchedulingGates:[PodSchedulingGate ResourceClaims:[PodResourceClaim Resources:*ResourceRequirements HostnameOverride:p SchedulingGroup:*PodSchedulingGroup
PodSchedulingGroup PodGroupName:p
Volume Name:s HostPath:*HostPath EmptyDir:*EmptyDir GCEPersistentDisk:*GCEPersistentDisk=gcePersistentDisk AWSElasticBlockStore:*AWSElasticBlockStore=awsElasticBlockStore GitRepo:*GitRepo Secret:*SecretVolume NFS:*NFS=nfs ISCSI:*ISCSI=iscsi Glusterfs:*Glusterfs PersistentVolumeClaim:*PersistentVolumeClaim RBD:*RBD=rbd Quobyte:*Quobyte FlexVolume:*FlexVolume Cinder:*Cinder CephFS:*CephFS=cephfs Flocker:*Flocker DownwardAPI:*DownwardAPIVolume FC:*FC=fc AzureFile:*AzureFile ConfigMap:*ConfigMapVolume VsphereVolume:*Vsphere AzureDisk:*AzureDisk PhotonPersistentDisk:*Photon Projected:*Projected PortworxVolume:*Portworx ScaleIO:*ScaleIO StorageOS:*StorageOS=storageos CSI:*CSI=csi Ephemeral:*Ephemeral Image:*ImageVolume
HostPath Path:s Type:p
EmptyDir Medium:s SizeLimit:p
GCEPersistentDisk PDName:s=pdName FSType:s=fsType Partition:i ReadOnly:b
AWSElasticBlockStore VolumeID:s FSType:s=fsType Partition:i ReadOnly:b
GitRepo Repository:s Revision:s Directory:s
SecretVolume SecretName:s Items:[KeyToPath DefaultMode:p Optional:p
NFS Server:s Path:s ReadOnly:b
ISCSI TargetPortal:s IQN:s=iqn Lun:i ISCSIInterface:s=iscsiInterface FSType:s=fsType ReadOnly:b Portals:l DiscoveryCHAPAuth:b=chapAuthDiscovery SessionCHAPAuth:b=chapAuthSession SecretRef:*LocalObjectReference InitiatorName:p
Glusterfs EndpointsName:s=endpoints Path:s ReadOnly:b
PersistentVolumeClaim ClaimName:s ReadOnly:b
RBD CephMonitors:l=monitors RBDImage:s=image FSType:s=fsType RBDPool:s=pool RadosUser:s=user Keyring:s SecretRef:*LocalObjectReference ReadOnly:b
Quobyte Registry:s Volume:s ReadOnly:b User:s Group:s Tenant:s
FlexVolume Driver:s FSType:s=fsType SecretRef:*LocalObjectReference ReadOnly:b Options:m
Cinder VolumeID:s FSType:s=fsType ReadOnly:b SecretRef:*LocalObjectReference
CephFS Monitors:l Path:s User:s SecretFile:s SecretRef:*LocalObjectReference ReadOnly:b
Flocker DatasetName:s DatasetUUID:s
DownwardAPIVolume Items:[DownwardAPIFile DefaultMode:p
DownwardAPIFile Path:s FieldRef:*ObjectFieldSelector ResourceFieldRef:*ResourceFieldSelector Mode:p
FC TargetWWNs:l Lun:p FSType:s=fsType ReadOnly:b WWIDs:l=wwids
AzureFile SecretName:s ShareName:s ReadOnly:b
ConfigMapVolume Name:s Items:[KeyToPath DefaultMode:p Optional:p
Vsphere VolumePath:s FSType:s=fsType StoragePolicyName:s StoragePolicyID:s
AzureDisk DiskName:s DataDiskURI:s=diskURI CachingMode:p FSType:p=fsType ReadOnly:p Kind:p
Photon PdID:s FSType:s=fsType
Projected Sources:[VolumeProjection DefaultMode:p
VolumeProjection Secret:*KeysProjection DownwardAPI:*DownwardAPIProjection ConfigMap:*KeysProjection ServiceAccountToken:*TokenProjection ClusterTrustBundle:*TrustBundleProjection PodCertificate:+CertificateProjection
KeysProjection Name:s Items:[KeyToPath Optional:p
DownwardAPIProjection Items:[DownwardAPIFile
TokenProjection Audience:s ExpirationSeconds:i Path:s
TrustBundleProjection Name:p SignerName:p LabelSelector:*LabelSelector Optional:p Path:s
CertificateProjection SignerName:s KeyType:s MaxExpirationSeconds:p CredentialBundlePath:s KeyPath:s CertificateChainPath:s UserAnnotations:m
KeyToPath Key:s Path:s Mode:p
Portworx VolumeID:s FSType:s=fsType ReadOnly:b
ScaleIO Gateway:s System:s SecretRef:*LocalObjectReference SSLEnabled:b=sslEnabled ProtectionDomain:s StoragePool:s StorageMode:s VolumeName:s FSType:s=fsType ReadOnly:b
StorageOS VolumeName:s VolumeNamespace:s FSType:s=fsType ReadOnly:b SecretRef:*LocalObjectReference
CSI Driver:s ReadOnly:p FSType:p=fsType VolumeAttributes:m NodePublishSecretRef:*LocalObjectReference
Ephemeral VolumeClaimTemplate:*ClaimTemplate
ClaimTemplate metadata:m Spec:m
ImageVolume Reference:s PullPolicy:s
LocalObjectReference Name:s
Container Name:s Image:s Command:l Args:l WorkingDir:s Ports:[ContainerPort EnvFrom:[EnvFrom Env:[EnvVar Resources:ResourceRequirements ResizePolicy:[ResizePolicy RestartPolicy:p RestartPolicyRules:[RestartRule VolumeMounts:[VolumeMount VolumeDevices:[VolumeDevice LivenessProbe:*Probe ReadinessProbe:*Probe StartupProbe:*Probe Lifecycle:*Lifecycle TerminationMessagePath:s TerminationMessagePolicy:s ImagePullPolicy:s SecurityContext:*SecurityContext Stdin:b StdinOnce:b TTY:b=tty
EphemeralContainer Common:+Container TargetContainerName:s
ContainerPort Name:s HostPort:i ContainerPort:i Protocol:s HostIP:s
EnvFrom Prefix:s ConfigMapRef:*EnvSource SecretRef:*EnvSource
EnvSource Name:s Optional:p
EnvVar Name:s Value:s ValueFrom:*EnvVarSource
EnvVarSource FieldRef:*ObjectFieldSelector ResourceFieldRef:*ResourceFieldSelector ConfigMapKeyRef:*KeySelector SecretKeyRef:*KeySelector FileKeyRef:*FileKeySelector
ObjectFieldSelector APIVersion:s=apiVersion FieldPath:s
ResourceFieldSelector ContainerName:s Resource:s Divisor:q
KeySelector Name:s Key:s Optional:p
FileKeySelector VolumeName:s Path:s Key:s Optional:p
ResourceRequirements Limits:m Requests:m Claims:[ResourceClaim
ResourceClaim Name:s Request:s
ResizePolicy ResourceName:s RestartPolicy:s
RestartRule Action:s ExitCodes:*RestartExitCodes
RestartExitCodes Operator:s Values:l
VolumeMount Name:s ReadOnly:b RecursiveReadOnly:p MountPath:s SubPath:s MountPropagation:p SubPathExpr:s
VolumeDevice Name:s DevicePath:s
Probe Exec:*Exec HTTPGet:*HTTPGet=httpGet TCPSocket:*TCPSocket=tcpSocket GRPC:*GRPC=grpc InitialDelaySeconds:i TimeoutSeconds:i PeriodSeconds:i SuccessThreshold:i FailureThreshold:i TerminationGracePeriodSeconds:p
Exec Command:l
HTTPGet Path:s Port:v Host:s Scheme:s HTTPHeaders:[HTTPHeader=httpHeaders
HTTPHeader Name:s Value:s
TCPSocket Port:v Host:s
GRPC Port:i Service:p
Sleep Seconds:i
Lifecycle PostStart:*LifecycleHandler PreStop:*LifecycleHandler StopSignal:p
LifecycleHandler Exec:*Exec HTTPGet:*HTTPGet=httpGet TCPSocket:*TCPSocket=tcpSocket Sleep:*Sleep
SecurityContext Capabilities:*Capabilities Privileged:p SELinuxOptions:*SELinuxOptions=seLinuxOptions WindowsOptions:*WindowsOptions RunAsUser:p RunAsGroup:p RunAsNonRoot:p ReadOnlyRootFilesystem:p AllowPrivilegeEscalation:p ProcMount:p SeccompProfile:*Profile AppArmorProfile:*Profile
Capabilities Add:l Drop:l
SELinuxOptions User:s Role:s Type:s Level:s
WindowsOptions GMSACredentialSpecName:p=gmsaCredentialSpecName GMSACredentialSpec:p=gmsaCredentialSpec RunAsUserName:p HostProcess:p
Profile Type:s LocalhostProfile:p
PodSecurityContext HostNetwork:b HostPID:b HostIPC:b ShareProcessNamespace:p HostUsers:p SELinuxOptions:*SELinuxOptions=seLinuxOptions WindowsOptions:*WindowsOptions RunAsUser:p RunAsGroup:p RunAsNonRoot:p SupplementalGroups:l SupplementalGroupsPolicy:p FSGroup:p=fsGroup FSGroupChangePolicy:p=fsGroupChangePolicy Sysctls:[Sysctl SeccompProfile:*Profile AppArmorProfile:*Profile SELinuxChangePolicy:p=seLinuxChangePolicy
Sysctl Name:s Value:s
Affinity NodeAffinity:*NodeAffinity PodAffinity:*PodAffinity PodAntiAffinity:*PodAffinity
NodeAffinity RequiredDuringSchedulingIgnoredDuringExecution:*NodeSelector PreferredDuringSchedulingIgnoredDuringExecution:[PreferredTerm
NodeSelector NodeSelectorTerms:[NodeSelectorTerm
NodeSelectorTerm MatchExpressions:[NodeRequirement MatchFields:[NodeRequirement
NodeRequirement Key:s Operator:s Values:l
PreferredTerm Weight:i Preference:NodeSelectorTerm
PodAffinity RequiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm PreferredDuringSchedulingIgnoredDuringExecution:[WeightedTerm
PodAffinityTerm LabelSelector:*LabelSelector Namespaces:l TopologyKey:s NamespaceSelector:*LabelSelector MatchLabelKeys:l MismatchLabelKeys:l
WeightedTerm Weight:i PodAffinityTerm:PodAffinityTerm
LabelSelector matchLabels:o matchExpressions:o
Toleration Key:s Operator:s Value:s Effect:s TolerationSeconds:p
HostAlias IP:s=ip Hostnames:l
PodDNSConfig Nameservers:l Searches:l Options:[DNSOption
DNSOption Name:s Value:p
PodReadinessGate ConditionType:s
TopologySpreadConstraint MaxSkew:i TopologyKey:s WhenUnsatisfiable:s LabelSelector:*LabelSelector MinDomains:p NodeAffinityPolicy:p NodeTaintsPolicy:p MatchLabelKeys:l
PodOS Name:s
PodSchedulingGate Name:s
PodResourceClaim Name:s ResourceClaimName:p ResourceClaimTemplateName:p
`;
