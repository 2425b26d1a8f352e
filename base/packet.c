#include "packet.h"

const char *const tunnel_type_names[TUNNEL_TYPES] = {
    [TUNNEL_NONE] = "none",           [TUNNEL_VXLAN] = "VXLAN",
    [TUNNEL_GENEVE] = "Geneve",       [TUNNEL_GRE] = "GRE",
    [TUNNEL_NVGRE] = "NVGRE",         [TUNNEL_ERSPAN_I] = "ERSPAN-I",
    [TUNNEL_ERSPAN_II] = "ERSPAN-II", [TUNNEL_ERSPAN_III] = "ERSPAN-III",
    [TUNNEL_IPIP] = "IPIP",           [TUNNEL_6IN4] = "6in4",
    [TUNNEL_4IN6] = "4in6",           [TUNNEL_6IN6] = "6in6",
    [TUNNEL_GTPU] = "GTP-U",
};
